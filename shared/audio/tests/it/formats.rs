//! Every container decodes to the signal that went in, in place, and refuses what it should by name.

use std::time::Duration;

use polyphony_audio::decode::{Decoder, decode, decode_speech};
use polyphony_audio::limits::{Cancel, Limits};
use polyphony_audio::pcm::{Encoding, Pcm, Spec};
use polyphony_audio::probe::Container;
use polyphony_audio::{Class, Error};

use super::media::{FIXTURES, Fixture, snr, tone_wav};

fn fixture(name: &str) -> &'static Fixture {
    FIXTURES
        .iter()
        .find(|fixture| fixture.name == name)
        .expect("a fixture")
}

fn whole(bytes: &[u8]) -> Result<Pcm, Error> {
    decode(bytes, &Limits::default(), &Cancel::new()).map(|decoded| {
        assert_eq!(decoded.concealed, Duration::ZERO);
        decoded.pcm
    })
}

fn refused(bytes: &[u8]) -> Error {
    whole(bytes).expect_err("refused")
}

#[test]
fn every_container_decodes_to_its_signal_in_place() {
    for fixture in FIXTURES {
        let name = fixture.name;
        let pcm = whole(fixture.bytes).expect(name);
        let spec = Spec::new(fixture.rate, fixture.channels as u32).expect("valid");
        assert_eq!((pcm.spec(), pcm.frames()), (spec, fixture.frames), "{name}");
        let found = snr(&pcm, fixture.lag);
        assert!(found >= fixture.snr, "{name}: {found} dB");
    }
    assert!(snr(&whole(&tone_wav()).expect("WAV"), 0) > 85.0);
}

#[test]
fn speech_comes_out_at_16_khz_mono_whatever_goes_in() {
    for fixture in FIXTURES {
        let decoded = decode_speech(fixture.bytes, &Limits::default(), &Cancel::new()).expect(fixture.name);
        assert_eq!(decoded.pcm.spec(), Spec::SPEECH);
        let expected = fixture.frames as f64 * 16_000.0 / f64::from(fixture.rate);
        assert!(
            (decoded.pcm.frames() as f64 - expected).abs() <= 1.0,
            "{}",
            fixture.name
        );
    }
    // The right channel is half of the left, upside down, so the mean of both is a quarter of the left.
    let stereo = fixture("tone_24bit_stereo.flac").bytes;
    let mono = decode_speech(stereo, &Limits::default(), &Cancel::new())
        .expect("decoded")
        .pcm;
    let louder = Pcm::mono(mono.samples().iter().map(|s| s * 4.0).collect(), mono.spec().rate);
    assert!(snr(&louder, 0) > 20.0, "{} dB", snr(&louder, 0));
}

#[test]
fn a_file_that_was_cut_says_so_after_its_sound() {
    for fixture in FIXTURES {
        let name = fixture.name;
        // Nothing in it says how long it is: MP3 without a Xing header.
        if name == "tone_id3_cbr.mp3" {
            continue;
        }
        let cut = fixture.cut();
        let mut samples = Vec::new();
        let error = Decoder::open(cut, &Limits::default(), &Cancel::new())
            .and_then(|mut decoder| {
                while let Some(block) = decoder.next_block()? {
                    samples.extend(block.into_samples());
                }
                Ok(())
            })
            .expect_err(name);
        assert!(matches!(error, Error::Truncated { .. }), "{name}: {error:?}");
        let sound = whole(fixture.bytes).expect(name).into_samples();
        if name == "tone_moov_last.m4a" {
            assert!(samples.is_empty(), "{name}: the index is what was cut off");
        } else if name == "tone_24bit_stereo.flac" {
            assert!(samples.is_empty(), "{name}: it is a single packet");
        } else {
            assert!(
                samples.len() > sound.len() / 3,
                "{name}: {} samples",
                samples.len()
            );
            // The last packet may differ, as some codecs lap the next one over it.
            let sure = samples.len().saturating_sub(1_200 * fixture.channels);
            assert!(samples[..sure] == sound[..sure], "{name}");
        }
    }
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    let ac3 = refused(include_bytes!("../fixtures/tone_ac3.mp4"));
    let (container, codec) = (Container::Mp4, "AC-3".into());
    assert_eq!(ac3, Error::UnsupportedCodec { container, codec });
    let adpcm = refused(include_bytes!("../fixtures/tone_adpcm.wav"));
    let (container, codec) = (Container::Wav, "Microsoft ADPCM".into());
    assert_eq!(adpcm, Error::UnsupportedCodec { container, codec });
    let container = Container::Matroska;
    let video = refused(include_bytes!("../fixtures/silent_video.webm"));
    assert_eq!(video, Error::NoAudioTrack { container });
    assert_eq!(refused(b""), Error::Empty);
    assert!(matches!(
        refused(b"%PDF-1.7 not audio at all"),
        Error::NotAudio { .. }
    ));
    assert!(matches!(
        refused(b"ID3\x04\0\0\0\0\0\x03tag"),
        Error::Truncated { .. }
    ));
}

#[test]
fn limits_hold_before_and_during() {
    let flac = fixture("tone.flac").bytes;
    let refusal = |limits: &Limits| decode(flac, limits, &Cancel::new()).expect_err("refused");
    let limit = 1_000;
    let max_bytes = limit;
    assert_eq!(
        refusal(&Limits {
            max_bytes,
            ..Limits::default()
        }),
        Error::TooManyBytes { limit }
    );
    let max_decoded_bytes = limit;
    assert_eq!(
        refusal(&Limits {
            max_decoded_bytes,
            ..Limits::default()
        }),
        Error::DecodedTooLarge { limit }
    );
    let max_channels = 0;
    assert_eq!(
        refusal(&Limits {
            max_channels,
            ..Limits::default()
        }),
        Error::Channels { found: 1, max: 0 }
    );
    let patience = Duration::ZERO;
    assert_eq!(
        refusal(&Limits {
            patience,
            ..Limits::default()
        }),
        Error::TooSlow
    );
    let max_duration = Duration::from_millis(499);
    let error = refusal(&Limits {
        max_duration,
        ..Limits::default()
    });
    assert_eq!(
        (error.class(), error),
        (Class::Limit, Error::TooLong { limit: max_duration })
    );

    // Vorbis has kilobytes of code books before its first sound.
    let limit = 2_000;
    let limits = Limits {
        max_header_bytes: limit,
        ..Limits::default()
    };
    for name in ["tone_vorbis.ogg", "tone_vorbis.webm"] {
        let error = decode(fixture(name).bytes, &limits, &Cancel::new()).expect_err(name);
        assert_eq!(error, Error::HeaderTooLarge { limit }, "{name}");
    }
}

#[test]
fn work_that_nobody_waits_for_stops() {
    for name in ["tone.flac", "tone.mp3", "tone.opus", "tone.m4a", "tone_opus.webm"] {
        let cancel = Cancel::new();
        let mut decoder = Decoder::open(fixture(name).bytes, &Limits::default(), &cancel).expect(name);
        assert!(matches!(decoder.next_block(), Ok(Some(_))));
        cancel.cancel();
        assert_eq!(decoder.next_block(), Err(Error::Cancelled), "{name}");
        assert_eq!(decoder.next_block(), Ok(None));
    }
}

#[test]
fn a_packet_that_cannot_be_decoded_becomes_silence_that_is_counted() {
    let mut bytes = fixture("tone_opus.webm").bytes.to_vec();
    // The first simple block after the middle; its content gets a code 3 packet of no frames, which Opus forbids.
    let block = (bytes.len() / 2..bytes.len())
        .find(|at| bytes[*at] == 0xa3 && bytes[at + 2..at + 3] == [0x81])
        .expect("a block");
    bytes[block + 6..block + 8].copy_from_slice(&[0xff, 0x00]);
    let decoded = decode(&bytes, &Limits::default(), &Cancel::new()).expect("decoded");
    assert_eq!(decoded.pcm.frames(), 24_648);
    assert_eq!(decoded.concealed, Duration::from_millis(20));
}

#[test]
fn raw_samples_need_no_container() {
    let spec = Spec::new(8_000, 1).expect("valid");
    let mut decoder =
        Decoder::open_raw(&[0x80; 800], Encoding::U8, spec, &Limits::default()).expect("opened");
    let block = decoder.next_block().expect("decoded").expect("samples");
    assert_eq!(
        (block.duration(), decoder.container()),
        (Duration::from_millis(100), Container::Raw)
    );
    assert_eq!(decoder.next_block(), Ok(None));
    assert!(Decoder::open_raw(&[], Encoding::U8, spec, &Limits::default()).is_err());
}
