//! The signals of `make_golden.py`, by the same formula.

use std::f64::consts::PI;

const CHORDS: [[i32; 4]; 4] = [
    [50, 62, 66, 69],
    [57, 61, 64, 73],
    [47, 59, 62, 66],
    [43, 59, 62, 67],
];

/// Four chords in D major, a little sharp, a beat at 104 a minute, over faint noise, after `quiet` s of silence.
pub(crate) fn signal(rate: u32, seconds: f64, quiet: f64) -> Vec<f32> {
    let beat = 60.0 / 104.0;
    let mut state = 12_345u32;
    (0..(f64::from(rate) * seconds) as usize)
        .map(|n| {
            let t = n as f64 / f64::from(rate);
            let since = t % beat;
            let half = (t + beat / 2.0) % beat;
            let bar = (t / (4.0 * beat)).floor() as usize % 4;
            let mut sum = 0.0;
            for note in CHORDS[bar] {
                let hz = 440.0 * ((f64::from(note - 69) + 0.137) / 12.0).exp2();
                for harmonic in [1.0, 2.0, 3.0] {
                    let wave = (2.0 * PI * hz * harmonic * t).sin();
                    sum += 0.08 / harmonic * (-3.0 * since).exp() * wave;
                }
            }
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = f64::from(state) / 4_294_967_296.0 - 0.5;
            sum += noise * (0.2 * (-40.0 * half).exp() + 1e-5);
            if t < quiet { 0.0 } else { sum as f32 }
        })
        .collect()
}
