//! What is written is heard again by our own decoder: bit by bit where nothing is lost, near enough where something is,
//! and always as long as it was.

use proptest::prelude::*;

use crate::decode::decode;
use crate::limits::{Cancel, Limits};
use crate::probe::Container;

use super::*;

mod ogg_pages;

const ALL: [Format; 8] = [
    Format::Linear16,
    Format::Float32,
    Format::MuLaw,
    Format::ALaw,
    Format::Wav,
    Format::Flac,
    Format::OggOpus,
    Format::Mp3,
];

/// Sweeps and a hum, another in each channel, with steps that wake every predictor of FLAC.
fn sound(frames: usize, rate: u32, channels: u32) -> Pcm {
    let spec = Spec::new(rate, channels).expect("valid");
    let samples = (0..frames).flat_map(|n| {
        let t = n as f32 / rate as f32;
        (0..channels).map(move |channel| {
            let base = 200.0 + 150.0 * channel as f32;
            let tone = (std::f32::consts::TAU * (base * t + 400.0 * t * t)).sin();
            let burst = if (n / 5_000) % 4 == 3 { 0.0 } else { 0.35 };
            burst * tone + 0.1 * (std::f32::consts::TAU * 60.0 * t).sin()
        })
    });
    Pcm::new(samples.collect(), spec)
}

fn settings(format: Format, pcm: &Pcm) -> Settings {
    Settings {
        format,
        spec: pcm.spec(),
        bit_rate: Format::BIT_RATE,
    }
}

fn decoded(bytes: &[u8], container: Container) -> Pcm {
    let decoded = decode(bytes, &Limits::default(), &Cancel::new()).expect("decodes");
    assert_eq!(decoded.container, container);
    decoded.pcm
}

/// As 16-bit samples.
fn quantised(pcm: &Pcm) -> Vec<i16> {
    let steps = pcm.samples().iter().map(|sample| (sample * 32_768.0).round());
    steps.map(|step| step as i16).collect()
}

/// dB of what was over what differs.
fn snr(was: &Pcm, is: &Pcm) -> f64 {
    let (mut power, mut noise) = (0.0, 0.0);
    for (was, is) in was.samples().iter().zip(is.samples()) {
        power += f64::from(*was).powi(2);
        noise += f64::from(was - is).powi(2);
    }
    10.0 * (power / noise).log10()
}

/// In pieces, with a flush after each where it is asked for; the head is put at its place.
fn in_pieces(pcm: &Pcm, format: Format, cuts: &[usize], flush: bool) -> Vec<u8> {
    let channels = pcm.spec().channels.count();
    let (mut encoder, mut out) = (Encoder::new(settings(format, pcm)).expect("made"), Vec::new());
    let mut rest = pcm.samples();
    for cut in cuts.iter().cycle() {
        let (head, tail) = rest.split_at((cut * channels).min(rest.len()));
        encoder.push(head, &mut out).expect("taken");
        if flush {
            encoder.flush(&mut out).expect("flushed");
        }
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    let head = encoder.finish(&mut out).expect("finished");
    out[..head.len()].copy_from_slice(&head);
    out
}

#[test]
fn lossless_files_decode_to_the_very_samples() {
    for (rate, channels) in [
        (8_000, 1),
        (8_001, 1),
        (11_025, 2),
        (22_050, 1),
        (44_100, 2),
        (48_000, 3),
        (65_537, 1),
        (96_000, 8),
    ] {
        // A block, less, one more, and a last block of one frame.
        for frames in [1, 63, 4_096, 8_193, 20_001] {
            let pcm = sound(frames, rate, channels);
            for (format, container) in [(Format::Wav, Container::Wav), (Format::Flac, Container::Flac)] {
                let file = encode(&pcm, format, 0).expect("encoded");
                let heard = decoded(&file, container);
                assert_eq!(heard.spec(), pcm.spec(), "{format:?}");
                assert!(
                    quantised(&heard) == quantised(&pcm),
                    "{format:?} of {frames} frames at {rate} Hz x {channels}"
                );
            }
        }
    }
}

#[test]
fn flac_is_smaller_than_its_samples_and_says_its_length_and_sizes() {
    let pcm = sound(48_000, 24_000, 1);
    let file = encode(&pcm, Format::Flac, 0).expect("encoded");
    assert!(file.len() < 48_000 * 2 * 7 / 10, "{}", file.len());
    let packed = u64::from_be_bytes(file[18..26].try_into().expect("8 bytes"));
    assert_eq!(packed & 0xf_ffff_ffff, 48_000);
    assert_eq!((packed >> 44, packed >> 36 & 0x1f), (24_000, 15));
    // The sizes of the smallest and largest frame: 12 frames cannot be larger than the file.
    let size = |at: usize| u32::from_be_bytes([0, file[at], file[at + 1], file[at + 2]]) as usize;
    assert!(0 < size(12) && size(12) <= size(15) && size(15) * 12 >= file.len() - 42);
}

/// The digest is what `md5sum` says of the little-endian samples -5,000 to 4,999.
#[test]
fn flac_carries_the_md5_of_its_samples() {
    let samples = (-5_000i16..5_000).map(|sample| f32::from(sample) / 32_768.0);
    let pcm = Pcm::mono(samples.collect(), SampleRate::SPEECH);
    let file = encode(&pcm, Format::Flac, 0).expect("encoded");
    let digest: String = file[26..42].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "56577eee20bc38d7deefe478e10512bb");
}

#[test]
fn the_pieces_of_a_flac_stream_are_a_file_whose_length_is_not_known() {
    let pcm = sound(30_000, 44_100, 2);
    let (mut encoder, mut out) = (
        Encoder::new(settings(Format::Flac, &pcm)).expect("made"),
        Vec::new(),
    );
    for piece in pcm.samples().chunks(2 * 3_000) {
        encoder.push(piece, &mut out).expect("taken");
    }
    let early = out.len();
    let head = encoder.finish(&mut out).expect("finished");
    assert!(early > out.len() / 2, "frames come as they are full");
    assert_eq!(head.len(), 42);
    assert_eq!(quantised(&decoded(&out, Container::Flac)), quantised(&pcm));
}

#[test]
fn a_wav_stream_is_valid_before_its_length_is_known() {
    let pcm = sound(1_000, 16_000, 1);
    let (mut encoder, mut out) = (
        Encoder::new(settings(Format::Wav, &pcm)).expect("made"),
        Vec::new(),
    );
    encoder.push(pcm.samples(), &mut out).expect("taken");
    assert_eq!(out[40..44], [0xff; 4]);
    assert_eq!(quantised(&decoded(&out, Container::Wav)), quantised(&pcm));
    let head = encoder.finish(&mut out).expect("finished");
    assert_eq!(head[40..44], 2_000u32.to_le_bytes());
}

#[test]
fn lossy_files_sound_alike_and_last_as_long() {
    for (format, container, rate, channels, least) in [
        (Format::OggOpus, Container::Ogg, 48_000, 1, 20.0),
        (Format::OggOpus, Container::Ogg, 48_000, 2, 20.0),
        (Format::Mp3, Container::Mp3, 48_000, 1, 20.0),
        (Format::Mp3, Container::Mp3, 24_000, 1, 20.0),
        (Format::Mp3, Container::Mp3, 22_050, 2, 20.0),
        (Format::Mp3, Container::Mp3, 8_000, 1, 15.0),
    ] {
        // Nothing of note, less than a packet, a whole number of packets, and not.
        for frames in [1, 700, 48_000, 50_431] {
            let pcm = sound(frames, rate, channels);
            let file = encode(&pcm, format, Format::BIT_RATE).expect("encoded");
            let heard = decoded(&file, container);
            assert_eq!(heard.spec(), pcm.spec());
            assert_eq!(heard.frames(), pcm.frames(), "{format:?} at {rate} Hz");
            if frames > 1_000 {
                let snr = snr(&pcm, &heard);
                assert!(snr > least, "{format:?} at {rate} Hz x {channels}: {snr}");
            }
        }
    }
}

#[test]
fn raw_samples_are_those_of_their_encoding() {
    let pcm = sound(500, 8_000, 2);
    for (format, encoding, error) in [
        (Format::Linear16, crate::pcm::Encoding::S16, 0.6 / 32_768.0),
        (Format::Float32, crate::pcm::Encoding::F32, 0.0),
        (Format::MuLaw, crate::pcm::Encoding::MuLaw, 0.016),
        (Format::ALaw, crate::pcm::Encoding::ALaw, 0.016),
    ] {
        let bytes = encode(&pcm, format, 0).expect("encoded");
        assert_eq!(bytes.len(), 1_000 * encoding.bytes());
        let mut heard = Vec::new();
        encoding.decode_into(&bytes, &mut heard);
        for (was, is) in pcm.samples().iter().zip(&heard) {
            assert!((was - is).abs() <= error, "{format:?}: {was} became {is}");
        }
    }
}

#[test]
fn what_a_format_does_not_have_is_refused_with_what_it_has() {
    for (format, rate, channels, bit_rate, wanted) in [
        (
            Format::OggOpus,
            22_050,
            1,
            64_000,
            "OGG_OPUS has 8000, 12000, 16000, 24000 and 48000 Hz, not 22050",
        ),
        (
            Format::OggOpus,
            48_000,
            3,
            64_000,
            "OGG_OPUS has 1 to 2 channels, not 3",
        ),
        (
            Format::OggOpus,
            48_000,
            1,
            5_999,
            "OGG_OPUS has 6000 to 320000 bits",
        ),
        (Format::Mp3, 22_051, 1, 64_000, "MP3 has 8000, 11025,"),
        (Format::Mp3, 22_050, 1, 192_000, "MP3 at 22050 Hz has 8, 16,"),
        (Format::Mp3, 44_100, 1, 64_001, "not 64001"),
        (Format::Mp3, 44_100, 6, 64_000, "MP3 has 1 to 2 channels, not 6"),
        (
            Format::Flac,
            96_001,
            1,
            0,
            "FLAC is written with 8000 to 96000 Hz",
        ),
        (Format::Flac, 48_000, 9, 0, "FLAC has 1 to 8 channels, not 9"),
    ] {
        let spec = Spec::new(rate, channels).expect("valid");
        let error = Encoder::new(Settings {
            format,
            spec,
            bit_rate,
        })
        .expect_err(wanted);
        assert!(matches!(error, Error::Setting { .. }));
        assert!(error.to_string().contains(wanted), "{error}");
    }
    let pcm = sound(10, 8_000, 2);
    let mut encoder = Encoder::new(settings(Format::Flac, &pcm)).expect("made");
    let error = encoder
        .push(&[0.0; 3], &mut Vec::new())
        .expect_err("half a frame");
    assert!(matches!(error, Error::PartialFrame { left: 1, channels: 2 }));
}

#[test]
fn a_rate_that_a_format_has_is_found() {
    let rate = |hz| SampleRate::new(hz).expect("valid");
    for (format, natural, wanted) in [
        (Format::Wav, 22_050, 22_050),
        (Format::OggOpus, 22_050, 48_000),
        (Format::Mp3, 22_050, 22_050),
        (Format::Mp3, 23_000, 24_000),
        (Format::Mp3, 96_000, 48_000),
        (Format::Flac, 192_000, 96_000),
    ] {
        let found = format.rate_for(rate(natural));
        assert_eq!(found.hz(), wanted, "{format:?}");
        let spec = Spec {
            rate: found,
            channels: Channels::MONO,
        };
        let settings = Settings {
            format,
            spec,
            bit_rate: Format::BIT_RATE,
        };
        settings.check().expect("the format has it");
    }
}

#[test]
fn nothing_is_a_file_of_nothing() {
    for format in ALL {
        let pcm = sound(0, 48_000, 1);
        let file = encode(&pcm, format, Format::BIT_RATE).expect("encoded");
        let is_empty = matches!(
            format,
            Format::Linear16 | Format::Float32 | Format::MuLaw | Format::ALaw
        );
        assert_eq!(file.is_empty(), is_empty, "{format:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However the samples are cut, the bytes are the same.
    #[test]
    fn cuts_do_not_change_a_byte(
        cuts in prop::collection::vec(1usize..6_000, 1..8),
        frames in 0usize..20_000,
        channels in 1u32..=2,
        format in prop::sample::select(&ALL[..]),
    ) {
        let pcm = sound(frames, 48_000, channels);
        let whole = encode(&pcm, format, Format::BIT_RATE).expect("encoded");
        prop_assert!(in_pieces(&pcm, format, &cuts, false) == whole, "{format:?}");
    }

    /// Nor do flushes change what is heard.
    #[test]
    fn flushes_do_not_change_the_sound(cuts in prop::collection::vec(1usize..6_000, 1..8), frames in 1usize..20_000) {
        let pcm = sound(frames, 48_000, 1);
        let heard = decoded(&in_pieces(&pcm, Format::OggOpus, &cuts, true), Container::Ogg);
        let whole = decoded(&encode(&pcm, Format::OggOpus, Format::BIT_RATE).expect("encoded"), Container::Ogg);
        prop_assert!(heard == whole);
    }
}
