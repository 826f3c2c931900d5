//! Cepstra against librosa's `feature.mfcc`, on the signal of the mel tests.

use polyphony_audio::mfcc::{Mfcc, MfccSettings};

use super::mel::signal;

const GOLDEN: &[u8] = include_bytes!("../fixtures/mfcc_golden.bin");

/// The cases of `make_mfcc_golden.py`, in its order: seconds at 16 kHz, and the settings.
fn cases() -> Vec<(f64, MfccSettings)> {
    let narrow = MfccSettings {
        n_fft: 512,
        window: 400,
        hop: 160,
        mels: 40,
        coefficients: 13,
        ..MfccSettings::librosa(16_000)
    };
    let lifted = MfccSettings {
        n_fft: 1024,
        window: 1024,
        hop: 256,
        mels: 64,
        low: 50.0,
        high: 7_600.0,
        coefficients: 24,
        lifter: 22.0,
        ..MfccSettings::librosa(16_000)
    };
    let full = MfccSettings {
        n_fft: 4096,
        window: 4096,
        hop: 1024,
        coefficients: 128,
        ..MfccSettings::librosa(44_100)
    };
    vec![
        (1.0, MfccSettings::librosa(22_050)),
        (2.0, narrow),
        (1.5, lifted),
        (0.5, full),
    ]
}

#[test]
fn cepstra_equal_those_of_librosa_within_1e_3() {
    let mut golden = GOLDEN
        .chunks_exact(4)
        .map(|four| [four[0], four[1], four[2], four[3]]);
    let mut next = || golden.next();
    let mut worst = 0.0f32;
    for (case, (seconds, settings)) in cases().into_iter().enumerate() {
        let mut number = || u32::from_le_bytes(next().expect("more of the golden file")) as usize;
        let [wanted, frames, width, count] = [(); 4].map(|()| number());
        let samples = signal((seconds * 16_000.0) as usize);
        let cepstra = Mfcc::new(settings).expect("settings").coefficients(&samples);
        assert_eq!((wanted, cepstra.len(), cepstra.width), (case, frames, width));
        for _ in 0..count {
            let (frame, k) = (number(), number());
            let expected = f32::from_bits(number() as u32);
            let found = cepstra.row(frame)[k];
            worst = worst.max((found - expected).abs());
            assert!(
                worst < 1e-3,
                "case {case}, frame {frame}, coefficient {k}: {found} for {expected}"
            );
        }
    }
    assert!(golden.next().is_none(), "a case of the golden file was not tried");
    println!("largest difference {worst:e}");
}
