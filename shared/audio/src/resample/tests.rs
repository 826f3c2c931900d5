use std::f64::consts::PI;

use super::*;

const RATES: [u32; 9] = [
    8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000,
];

fn rate(hz: u32) -> SampleRate {
    SampleRate::new(hz).expect("a valid rate")
}

fn tone(hz: f64, from: SampleRate, frames: usize) -> Vec<f32> {
    let step = 2.0 * PI * hz / f64::from(from.hz());
    (0..frames)
        .map(|n| (0.5 * (step * n as f64).sin()) as f32)
        .collect()
}

fn to_speech(samples: &[f32], from: SampleRate, cut: usize) -> Vec<f32> {
    let mut resampler = Resampler::new(from, SampleRate::SPEECH).expect("a filter");
    let mut out = Vec::new();
    for piece in samples.chunks(cut) {
        resampler.push(piece, &mut out).expect("resampled");
    }
    resampler.finish(&mut out).expect("flushed");
    out
}

/// Level in dB against the tone's own, without the edges, where a tone that begins at once has all frequencies.
fn level(samples: &[f32]) -> f64 {
    let inner = &samples[samples.len() / 4..samples.len() * 3 / 4];
    let power = inner.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / inner.len() as f64;
    10.0 * (power / 0.125).log10()
}

#[test]
fn length_is_the_rounded_ratio() {
    for hz in RATES {
        for frames in [1, 2, 159, 4_001, 48_000] {
            let out = to_speech(&vec![0.1; frames], rate(hz), 999);
            let exact = frames as f64 * 16_000.0 / f64::from(hz);
            assert!(
                (out.len() as f64 - exact).abs() <= 0.5,
                "{frames} at {hz} became {}",
                out.len()
            );
        }
    }
}

#[test]
fn output_does_not_depend_on_the_cuts() {
    for hz in [8_000, 44_100, 48_000] {
        let input = tone(440.0, rate(hz), 20_000);
        let whole = to_speech(&input, rate(hz), input.len());
        for cut in [1, 7, 160, 1_763, 4_096] {
            assert!(
                to_speech(&input, rate(hz), cut) == whole,
                "{hz} Hz in pieces of {cut}"
            );
        }
    }
}

#[test]
fn tones_in_the_pass_band_keep_level_and_phase() {
    for hz in RATES {
        let from = rate(hz);
        let nyquist = f64::from(hz.min(16_000)) / 2.0;
        for part in [0.02, 0.3, 0.7, 0.92] {
            let freq = nyquist * part;
            let out = to_speech(&tone(freq, from, from.hz() as usize), from, 4_096);
            assert!(
                level(&out).abs() < 0.05,
                "{freq} Hz from {hz}: {} dB",
                level(&out)
            );
            // Half an input sample of filter delay may be left, for which the phase allows.
            let ideal = tone(freq, SampleRate::SPEECH, out.len());
            let error: Vec<f32> = out.iter().zip(&ideal).map(|(a, b)| a - b).collect();
            assert!(
                level(&error) < -60.0,
                "{freq} Hz from {hz}: error {} dB",
                level(&error)
            );
        }
    }
}

#[test]
fn tones_above_the_new_nyquist_frequency_are_gone() {
    for hz in RATES.into_iter().filter(|hz| *hz > 16_000) {
        let from = rate(hz);
        for freq in [8_010.0, 8_500.0, 9_700.0, f64::from(hz) * 0.49] {
            let out = to_speech(&tone(freq, from, from.hz() as usize), from, 4_096);
            assert!(level(&out) < -80.0, "{freq} Hz from {hz}: {} dB", level(&out));
        }
    }
}

#[test]
fn a_second_stream_starts_clean() {
    let from = rate(48_000);
    let input = tone(300.0, from, 5_000);
    let mut resampler = Resampler::new(from, SampleRate::SPEECH).expect("a filter");
    let [mut first, mut second] = [Vec::new(), Vec::new()];
    for out in [&mut first, &mut second] {
        resampler.push(&input, out).expect("resampled");
        resampler.finish(out).expect("flushed");
    }
    assert!(first == second);
}

#[test]
fn rates_without_a_common_divisor_work_too() {
    let from = rate(44_101);
    let out = to_speech(&tone(1_000.0, from, 88_202), from, 4_410);
    assert_eq!(out.len(), 32_000);
    assert!(level(&out).abs() < 0.05, "{} dB", level(&out));
}
