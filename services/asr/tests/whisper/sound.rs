//! The sound that the goldens were made from; the same formula is in `fixtures/make_tiny_whisper.py`.

use std::f64::consts::PI;

/// Voiced syllables of changing pitch and vowel over faint noise.
pub(super) fn synthetic_speech(seconds: u32) -> Vec<f32> {
    let mut state = 12_345_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state) / 2_147_483_648.0 - 1.0
    };
    let sample = |index: u32| {
        let t = f64::from(index) / 16_000.0;
        let pitch = 2.0 * PI * 120.0 * t + 12.0 * (2.0 * PI * 0.6 * t).sin();
        let voice: f64 = (1..13_u8)
            .map(f64::from)
            .map(|harmonic| {
                let vowel = 0.5 + 0.5 * (2.0 * PI * 0.37 * harmonic * t + 0.9 * harmonic).sin();
                vowel * (harmonic * pitch).sin() / harmonic
            })
            .sum();
        let syllable = (2.0 * PI * 2.3 * t + 2.0 * (2.0 * PI * 0.11 * t).sin())
            .sin()
            .max(0.0);
        (0.2 * syllable * voice + 0.02 * noise()) as f32
    };
    (0..seconds * 16_000).map(sample).collect()
}
