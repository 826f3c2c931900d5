//! Small files that stand for large ones are refused, and refusing them holds no memory.

use std::time::Duration;

use polyphony_audio::decode::{decode, decode_speech};
use polyphony_audio::limits::{Cancel, Limits};
use polyphony_audio::stream::{Format, StreamDecoder};
use polyphony_audio::{Class, Error};

use super::alloc::usage_of;
use super::media::flac_of_silence;

/// Blocks of 65 535 frames at 16 kHz in 24 hours.
const DAY: u32 = 21_095;
const MIB: isize = 1 << 20;

fn ten_minutes() -> Limits {
    Limits {
        max_duration: Duration::from_secs(600),
        ..Limits::default()
    }
}

#[test]
fn silence_in_the_largest_blocks_is_read_where_it_is_allowed() {
    let flac = flac_of_silence(65_535 * 20, 20);
    let decoded = decode(&flac, &Limits::default(), &Cancel::new()).expect("decoded");
    assert_eq!(decoded.pcm.frames(), 65_535 * 20);
    assert!(decoded.pcm.samples().iter().all(|sample| *sample == 0.0));
}

#[test]
fn a_day_of_silence_is_refused_at_the_limit_with_flat_memory() {
    let honest = flac_of_silence(u64::from(DAY) * 65_535, DAY);
    let silent_about_it = flac_of_silence(0, DAY);
    let lying = flac_of_silence(1_000, DAY);
    assert!(honest.len() < 400_000);
    let limit = Duration::from_secs(600);
    for (name, file, most) in [
        ("declared", honest, 4 * MIB),
        // Ten minutes of 16 kHz are 37 MiB, which may be held in a vector that grows by doubling.
        ("not declared", silent_about_it, 112 * MIB),
        ("declared as less", lying, 112 * MIB),
    ] {
        let (result, usage) = usage_of(|| decode_speech(&file, &ten_minutes(), &Cancel::new()));
        assert_eq!(result.err(), Some(Error::TooLong { limit }), "{name}");
        assert!(usage.peak < most, "{name}: {usage:?}");
    }
}

#[test]
fn a_day_of_silence_in_a_stream_is_refused_block_by_block() {
    let mut decoder = StreamDecoder::new(Format::Auto, ten_minutes()).expect("made");
    decoder.feed(&flac_of_silence(0, DAY)).expect("taken");
    decoder.finish();
    let (mut blocks, mut longest) = (0, 0);
    let error = loop {
        match decoder.next_block() {
            Ok(Some(block)) => {
                blocks += 1;
                longest = longest.max(block.samples().len());
            }
            Ok(None) => panic!("it ended before the limit"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.class(), Class::Limit);
    assert_eq!((blocks, longest), (146, 65_535));
    assert_eq!(decoder.next_block(), Ok(None));
}

#[test]
fn lengths_that_files_only_claim_are_not_allocated() {
    // symphonia issues 431, 508 and 539: a handler name, a comment, a document type of gigabytes.
    let mp4 = [
        &16u32.to_be_bytes()[..],
        b"ftypM4A \0\0\0\0",
        &0xffff_fff0u32.to_be_bytes(),
        b"moov",
        &0xffff_ffe0u32.to_be_bytes(),
        b"trak",
        &0xffff_ffd0u32.to_be_bytes(),
        b"mdia",
        &0xffff_ffc0u32.to_be_bytes(),
        b"hdlr",
        &[0; 24],
    ]
    .concat();
    let flac = [
        b"fLaC\x00\0\0\x22".as_slice(),
        &[0x10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x03, 0xe8, 0, 0xf0],
        &[0; 20],
        b"\x84\xff\xff\xff",
        &0xffff_fff0u32.to_le_bytes(),
    ]
    .concat();
    let mkv = [
        &[
            0x1a, 0x45, 0xdf, 0xa3, 0x01, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff,
        ][..],
        &[0x42, 0x82, 0x01, 0, 0x6f, 0xff, 0xff, 0xff, 0xff, 0xff],
        b"webm",
    ]
    .concat();
    for (name, file) in [("MP4", mp4), ("FLAC", flac), ("Matroska", mkv)] {
        let (result, usage) = usage_of(|| decode(&file, &Limits::default(), &Cancel::new()));
        assert!(result.is_err(), "{name}");
        assert!(usage.peak < 16 * MIB, "{name}: {usage:?}");
    }
}

#[test]
fn a_tag_that_claims_more_than_headers_may_have_is_refused() {
    let limit = Limits::default().max_header_bytes;
    let tag = b"ID3\x04\0\0\x7f\x7f\x7f\x7f and no more";
    let error = decode(tag, &Limits::default(), &Cancel::new()).expect_err("refused");
    assert_eq!(error, Error::HeaderTooLarge { limit });
    let mut decoder = StreamDecoder::new(Format::Auto, Limits::default()).expect("made");
    decoder.feed(tag).expect("taken");
    assert_eq!(decoder.next_block(), Err(Error::HeaderTooLarge { limit }));
}
