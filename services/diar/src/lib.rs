//! Speaker diarization: who speaks when, and who that is.
