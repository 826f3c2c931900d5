//! Log-mel energies against kaldi-native-fbank, on the signal of the mel tests.

use polyphony_audio::fbank::{Fbank, FbankSettings, Window};

use super::mel::signal;

const GOLDEN: &[u8] = include_bytes!("../fixtures/fbank_golden.bin");

/// The cases of `make_fbank_golden.py`, in its order: seconds at 16 kHz, and the settings.
fn cases() -> [(usize, FbankSettings); 3] {
    let scaled = FbankSettings {
        scale: 32_768.0,
        ..FbankSettings::speech(Window::Hamming)
    };
    let narrow = FbankSettings {
        mels: 40,
        low: 60.0,
        high: 7_600.0,
        scale: 32_768.0,
        ..FbankSettings::speech(Window::Povey)
    };
    [
        (2, FbankSettings::speech(Window::Povey)),
        (2, scaled),
        (1, narrow),
    ]
}

#[test]
fn energies_equal_those_of_kaldi_within_1e_3() {
    let mut golden = GOLDEN
        .chunks_exact(4)
        .map(|four| [four[0], four[1], four[2], four[3]]);
    let mut next = || golden.next();
    let mut worst = 0.0f32;
    for (case, (seconds, settings)) in cases().into_iter().enumerate() {
        let mut number = || u32::from_le_bytes(next().expect("more of the golden file")) as usize;
        let [wanted, frames, bins, count] = [(); 4].map(|()| number());
        let mut fbank = Fbank::new(settings).expect("settings");
        let mut made = Vec::new();
        fbank.features(&signal(seconds * 16_000), &mut made);
        assert_eq!((wanted, made.len(), fbank.mels()), (case, frames * bins, bins));
        for _ in 0..count {
            let (frame, bin) = (number(), number());
            let expected = f32::from_bits(number() as u32);
            let found = made[frame * bins + bin];
            worst = worst.max((found - expected).abs());
            assert!(
                worst < 1e-3,
                "case {case}, frame {frame}, bin {bin}: {found} for {expected}"
            );
        }
    }
    assert!(golden.next().is_none(), "a case of the golden file was not tried");
    println!("largest difference {worst:e}");
}
