//! Pitch, stems, loudness, tempo, key and spectral features.
