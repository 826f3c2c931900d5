//! WAV in all its encodings, and with each of the lies that it tells about its length.

use std::time::Duration;

use polyphony_audio::Error;
use polyphony_audio::decode::{Decoder, decode};
use polyphony_audio::limits::{Cancel, Limits};
use polyphony_audio::probe::Container;

use super::media::{snr, speech, tone_wav};

/// The parts of a header, to be bent.
struct Header {
    riff: u32,
    tag: u16,
    channels: u16,
    rate: u32,
    bits: u16,
    data: u32,
}

impl Header {
    fn of(tag: u16, bits: u16, len: usize) -> Self {
        let data = len as u32;
        Self {
            riff: data + 36,
            tag,
            channels: 1,
            rate: 16_000,
            bits,
            data,
        }
    }

    fn with(&self, samples: &[u8]) -> Vec<u8> {
        let align = self.channels * self.bits.div_ceil(8);
        [
            b"RIFF".as_slice(),
            &self.riff.to_le_bytes(),
            b"WAVEfmt ",
            &16u32.to_le_bytes(),
            &self.tag.to_le_bytes(),
            &self.channels.to_le_bytes(),
            &self.rate.to_le_bytes(),
            &(self.rate * u32::from(align)).to_le_bytes(),
            &align.to_le_bytes(),
            &self.bits.to_le_bytes(),
            b"data",
            &self.data.to_le_bytes(),
            samples,
        ]
        .concat()
    }
}

fn frames(bytes: &[u8]) -> Result<u64, Error> {
    decode(bytes, &Limits::default(), &Cancel::new()).map(|decoded| decoded.pcm.frames())
}

#[test]
fn every_encoding_is_the_same_sound() {
    let pcm = speech();
    let samples = pcm.samples();
    let scaled = |scale: f64| {
        samples
            .iter()
            .map(move |s| (f64::from(*s) * scale).round() as i64)
    };
    let encodings: [(u16, u16, f64, Vec<u8>); 6] = [
        (
            1,
            8,
            40.0,
            scaled(128.0).map(|s| (s + 128).clamp(0, 255) as u8).collect(),
        ),
        (
            1,
            16,
            85.0,
            scaled(32_768.0).flat_map(|s| (s as i16).to_le_bytes()).collect(),
        ),
        (
            1,
            24,
            130.0,
            scaled(8_388_608.0)
                .flat_map(|s| (s as i32).to_le_bytes().into_iter().take(3))
                .collect(),
        ),
        (
            1,
            32,
            130.0,
            scaled(2_147_483_648.0)
                .flat_map(|s| (s as i32).to_le_bytes())
                .collect(),
        ),
        (
            3,
            32,
            130.0,
            samples.iter().flat_map(|s| s.to_le_bytes()).collect(),
        ),
        (
            3,
            64,
            130.0,
            samples.iter().flat_map(|s| f64::from(*s).to_le_bytes()).collect(),
        ),
    ];
    for (tag, bits, least, bytes) in encodings {
        let wav = Header::of(tag, bits, bytes.len()).with(&bytes);
        let decoded = decode(&wav, &Limits::default(), &Cancel::new()).expect("decoded");
        assert_eq!(decoded.pcm.frames(), 8_000);
        assert!(
            snr(&decoded.pcm, 0) > least,
            "{bits} bit: {} dB",
            snr(&decoded.pcm, 0)
        );
    }
}

#[test]
fn a_data_chunk_larger_than_the_file_was_cut() {
    let whole = Header::of(1, 16, 32_000);
    let bytes = whole.with(&[0; 20_000]);
    let mut decoder = Decoder::open(&bytes, &Limits::default(), &Cancel::new()).expect("opened");
    assert_eq!(
        decoder.next_block().map(|block| block.map(|pcm| pcm.frames())),
        Ok(Some(10_000))
    );
    let error = Error::Truncated {
        decoded: Duration::from_millis(625),
        declared: Some(Duration::from_secs(1)),
    };
    assert_eq!(decoder.next_block(), Err(error));
}

#[test]
fn sizes_that_pipe_writers_leave_mean_to_the_end() {
    // ffmpeg; sox; arecord; a header whose writer never came back; Python's wave module before its first patch.
    let placeholders = [
        (u32::MAX, u32::MAX),
        (0x7fff_f024, 0x7fff_f000),
        (0x8000_0024, 0x8000_0000),
        (0, 0),
        (36, 0),
    ];
    for (riff, data) in placeholders {
        let header = Header {
            riff,
            data,
            ..Header::of(1, 16, 0)
        };
        assert_eq!(frames(&header.with(&[0; 2_000])), Ok(1_000), "{data:#x}");
        // Half a frame at the end of an unknown length is dropped.
        assert_eq!(frames(&header.with(&[0; 2_001])), Ok(1_000), "{data:#x}");
    }
}

#[test]
fn an_empty_data_chunk_in_the_middle_of_a_file_is_empty() {
    let chunk = [b"LIST".as_slice(), &4u32.to_le_bytes(), b"INFO"].concat();
    let header = Header {
        riff: 36 + chunk.len() as u32,
        ..Header::of(1, 16, 0)
    };
    let container = Container::Wav;
    assert_eq!(frames(&header.with(&chunk)), Err(Error::NoSamples { container }));
    assert_eq!(
        frames(&Header::of(1, 16, 0).with(&[])),
        Err(Error::NoSamples { container })
    );
}

#[test]
fn what_follows_the_sound_is_not_sound() {
    let mut bytes = tone_wav();
    bytes.extend(b"LIST\x04\0\0\0INFO");
    assert_eq!(frames(&bytes), Ok(8_000));
}

#[test]
fn chunks_before_the_sound_are_skipped_and_padded() {
    let wav = tone_wav();
    let odd = [b"note".as_slice(), &3u32.to_le_bytes(), b"abc\0"].concat();
    let bytes = [&wav[..12], &odd, &wav[12..36], &odd, &wav[36..]].concat();
    assert_eq!(frames(&bytes), Ok(8_000));

    let limit = Limits::default().max_header_bytes;
    let huge = [
        b"note".as_slice(),
        &(limit as u32 + 1).to_le_bytes(),
        &vec![0; limit as usize + 2],
    ]
    .concat();
    let bytes = [&wav[..12], &huge, &wav[12..]].concat();
    assert_eq!(frames(&bytes), Err(Error::HeaderTooLarge { limit }));
}

#[test]
fn impossible_headers_are_refused_by_field() {
    let with = |change: fn(&mut Header)| {
        let mut header = Header::of(1, 16, 100);
        change(&mut header);
        frames(&header.with(&[0; 100])).expect_err("refused")
    };
    assert_eq!(with(|h| h.channels = 0), Error::Channels { found: 0, max: 8 });
    assert_eq!(with(|h| h.channels = 64), Error::Channels { found: 64, max: 8 });
    assert_eq!(with(|h| h.rate = 0), Error::SampleRate { found: 0 });
    assert_eq!(
        with(|h| h.rate = 1_000_000),
        Error::SampleRate { found: 1_000_000 }
    );
    assert!(matches!(with(|h| h.bits = 0), Error::UnsupportedCodec { .. }));
    assert!(matches!(with(|h| h.tag = 0x4242), Error::UnsupportedCodec { .. }));

    let mut bent = Header::of(1, 16, 100).with(&[0; 100]);
    bent[32] = 3;
    assert!(matches!(frames(&bent), Err(Error::Corrupt { .. })));
    let wav = tone_wav();
    let without_format = [&wav[..12], &wav[36..]].concat();
    assert!(matches!(frames(&without_format), Err(Error::Corrupt { .. })));
}

#[test]
fn a_declared_length_beyond_the_limit_is_refused_before_decoding() {
    // Five hours and a half at 8 kHz mono, of which nothing is there.
    let header = Header {
        rate: 8_000,
        ..Header::of(1, 8, 160_000_000)
    };
    let error = frames(&header.with(&[0x80; 100])).expect_err("refused");
    assert_eq!(
        error,
        Error::TooLong {
            limit: Limits::default().max_duration
        }
    );
}

#[test]
fn samples_that_are_not_numbers_are_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let bytes = [0.5f32.to_le_bytes(), bad.to_le_bytes()].concat();
        assert_eq!(frames(&Header::of(3, 32, 8).with(&bytes)), Err(Error::NotFinite));
    }
}
