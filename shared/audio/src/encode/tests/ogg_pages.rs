//! What is in the pages of Opus in Ogg, read by the ogg crate.

use crate::probe::Container;

use super::{decoded, settings, sound};
use crate::encode::{Encoder, Format, encode};

/// Opus of 8 to 24 kHz comes out at 48 kHz and as long to the sample.
#[test]
fn opus_of_any_of_its_rates_is_gapless() {
    for rate in [8_000, 12_000, 16_000, 24_000, 48_000] {
        for frames in [0, 1, rate as usize, rate as usize / 7] {
            let pcm = sound(frames, rate, 1);
            let file = encode(&pcm, Format::OggOpus, 24_000).expect("encoded");
            if frames == 0 {
                continue;
            }
            let heard = decoded(&file, Container::Ogg);
            assert_eq!(heard.spec().rate.hz(), 48_000);
            assert_eq!(
                heard.frames(),
                (frames * 48_000) as u64 / u64::from(rate),
                "{rate}"
            );
        }
    }
}

/// RFC 3533 and 7845: the page that begins, its comments alone, pages of at most a fifth of a second whose positions
/// grow, the last one marked.
#[test]
fn pages_of_ogg_are_as_the_rfc_says() {
    let pcm = sound(60_000, 48_000, 1);
    let file = encode(&pcm, Format::OggOpus, Format::BIT_RATE).expect("encoded");
    let mut reader = ogg::PacketReader::new(std::io::Cursor::new(&file));
    let mut packets = Vec::new();
    while let Some(packet) = reader.read_packet().expect("checksums hold") {
        packets.push(packet);
    }
    assert_eq!(
        &packets[0].data[..12],
        b"OpusHead\x01\x01\x38\x01",
        "312 samples of pre-skip"
    );
    assert!(packets[0].first_in_stream() && packets[0].last_in_page());
    assert!(packets[1].data.starts_with(b"OpusTags") && packets[1].last_in_page());
    let audio = &packets[2..];
    assert_eq!(audio.len(), (60_000 + 312usize).div_ceil(960));
    let mut last = 0;
    for (index, packet) in audio.iter().enumerate() {
        if packet.last_in_page() && !packet.last_in_stream() {
            assert_eq!(packet.absgp_page(), 960 * (index as u64 + 1));
            assert!(packet.absgp_page() - last <= 9_600);
            last = packet.absgp_page();
        }
    }
    let end = audio.last().expect("packets");
    assert!(end.last_in_stream());
    assert_eq!(end.absgp_page(), 60_000 + 312);
}

#[test]
fn a_flush_gives_all_but_what_the_codec_needs() {
    let pcm = sound(48_000, 48_000, 1);
    let (mut encoder, mut out) = (
        Encoder::new(settings(Format::OggOpus, &pcm)).expect("made"),
        Vec::new(),
    );
    encoder.push(&pcm.samples()[..24_000], &mut out).expect("taken");
    encoder.flush(&mut out).expect("flushed");
    // Half a second is 25 packets; the decoder owes the pre-skip.
    let mut reader = ogg::PacketReader::new(std::io::Cursor::new(&out));
    let mut position = 0;
    while let Ok(Some(packet)) = reader.read_packet() {
        position = packet.absgp_page();
    }
    assert_eq!(position, 24_000);
    assert_eq!(encoder.heard(), Some(24_000 - 312));
    // Flushing again, or with less than a packet, gives nothing.
    let before = out.len();
    encoder.flush(&mut out).expect("flushed");
    encoder.push(&pcm.samples()[..100], &mut out).expect("taken");
    encoder.flush(&mut out).expect("flushed");
    assert_eq!(out.len(), before);
}
