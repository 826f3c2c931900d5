//! The edit list of an MP4 (ISO/IEC 14496-12 §8.6.6): which part of the coded audio is meant to be heard.
//!
//! AAC encoders put a thousand or two samples of their own delay first and pad the last packet; the edit list says
//! how much, and symphonia does not apply it. Without it every word time would be late by up to 130 ms.
//!
//! The walk follows one path of boxes, moov/trak/edts/elst, over the bytes in memory, allocates nothing and gives up
//! at the first thing it does not understand: then nothing is trimmed. Only the plain shape is used, one edit at
//! normal speed, after at most one empty edit.

use crate::pcm::{Pcm, Spec};

/// The part to keep, in frames once the rate is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Edits {
    /// Where it begins and how long it is, each as ticks and ticks per second.
    range: Option<[(u64, u32); 2]>,
    passed: u64,
}

/// The edits of the first sound track.
pub(crate) fn first_audio(file: &[u8]) -> Option<Edits> {
    let moov = child(file, b"moov")?;
    let movie_scale = timescale(child(moov, b"mvhd")?)?;
    let track = boxes(moov)
        .filter(|(kind, _)| *kind == b"trak")
        .find_map(|(_, trak)| is_sound(trak).then_some(trak))?;
    let media_scale = timescale(child(child(track, b"mdia")?, b"mdhd")?)?;
    let (start, length) = edit(child(child(track, b"edts")?, b"elst")?)?;
    Some(Edits {
        range: Some([(start, media_scale), (length, movie_scale)]),
        passed: 0,
    })
}

/// Whether the last box of the file claims more than there is.
pub(crate) fn is_cut(file: &[u8]) -> bool {
    let mut at = 0;
    while let Some((size, header)) = file.get(at..).and_then(box_size) {
        let end = (at as u64).saturating_add(size);
        if end > file.len() as u64 {
            return true;
        }
        at += (size as usize).max(header);
    }
    at < file.len()
}

// === impl Edits ===

impl Edits {
    /// What is left of a block; `None` when nothing is.
    pub(crate) fn apply(&mut self, pcm: Pcm) -> Option<Pcm> {
        let Some([start, length]) = self.range else {
            return Some(pcm);
        };
        let spec = pcm.spec();
        let (start, length) = (frames(start, spec), frames(length, spec));
        let begin = self.passed;
        self.passed += pcm.frames();
        // A length of 0 means that it is not known, as in a file that was written in one go.
        let end = if length == 0 {
            u64::MAX
        } else {
            start.saturating_add(length)
        };
        let from = start.clamp(begin, self.passed) - begin;
        let to = end.clamp(begin, self.passed) - begin;
        if from == 0 && to == pcm.frames() {
            return Some(pcm);
        }
        let channels = spec.channels.count();
        let mut samples = pcm.into_samples();
        samples.truncate(to as usize * channels);
        samples.drain(..(from as usize * channels).min(samples.len()));
        (!samples.is_empty()).then(|| Pcm::new(samples, spec))
    }
}

fn frames((ticks, scale): (u64, u32), spec: Spec) -> u64 {
    let frames = u128::from(ticks) * u128::from(spec.rate.hz()) / u128::from(scale.max(1));
    u64::try_from(frames).unwrap_or(u64::MAX)
}

/// The boxes in `bytes`, each with its type and content, up to the first that is not well formed.
fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (size, header) = box_size(bytes)?;
        let kind = bytes.get(4..)?.first_chunk()?;
        let body = bytes.get(header..usize::try_from(size).ok()?)?;
        bytes = &bytes[header + body.len()..];
        Some((kind, body))
    })
}

/// How long the box at the beginning of `bytes` says it is, header included, and how long that is.
fn box_size(bytes: &[u8]) -> Option<(u64, usize)> {
    match u32_at(bytes, 0)? {
        // To the end.
        0 => Some((bytes.len() as u64, 8)),
        1 => Some((u64_at(bytes, 8)?, 16)),
        size => Some((u64::from(size), 8)),
    }
}

fn child<'b>(bytes: &'b [u8], kind: &[u8; 4]) -> Option<&'b [u8]> {
    boxes(bytes).find_map(|(found, content)| (found == kind).then_some(content))
}

fn is_sound(trak: &[u8]) -> bool {
    let handler = child(trak, b"mdia").and_then(|mdia| child(mdia, b"hdlr"));
    handler.and_then(|hdlr| hdlr.get(8..12)) == Some(b"soun")
}

/// Of `mvhd` or `mdhd`, which begin alike: version, then two times of 4 or 8 bytes, then the scale.
fn timescale(header: &[u8]) -> Option<u32> {
    let at = if *header.first()? == 1 { 20 } else { 12 };
    u32_at(header, at).filter(|scale| *scale > 0)
}

fn edit(elst: &[u8]) -> Option<(u64, u64)> {
    let wide = *elst.first()? == 1;
    let count = u32_at(elst, 4)?;
    let entry = |index: usize| {
        let at = 8 + index * if wide { 20 } else { 12 };
        let (length, start, rate_at) = if wide {
            (u64_at(elst, at)?, u64_at(elst, at + 8)?.cast_signed(), at + 16)
        } else {
            let start = i64::from(u32_at(elst, at + 4)?.cast_signed());
            (u64::from(u32_at(elst, at)?), start, at + 8)
        };
        // Rate 1.0 in 16.16.
        (u32_at(elst, rate_at)? == 0x0001_0000).then_some((start, length))
    };
    let (start, length) = match (count, entry(0)?) {
        (1, only) => only,
        (2, (-1, _)) => entry(1)?,
        _ => return None,
    };
    Some((u64::try_from(start).ok()?, length))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcm::SampleRate;

    fn ramp(range: std::ops::Range<u32>) -> Pcm {
        Pcm::mono(range.map(|n| n as f32).collect(), SampleRate::SPEECH)
    }

    #[test]
    fn blocks_are_cut_at_both_ends() {
        let mut edits = Edits {
            range: Some([(5, 16_000), (10, 16_000)]),
            passed: 0,
        };
        let kept: Vec<_> = [0..4, 4..8, 8..16, 16..20]
            .into_iter()
            .map(|part| edits.apply(ramp(part)).map(Pcm::into_samples))
            .collect();
        assert_eq!(
            kept,
            [
                None,
                Some(vec![5.0, 6.0, 7.0]),
                Some((8..15).map(|n| n as f32).collect()),
                None
            ]
        );
    }

    #[test]
    fn a_lying_box_size_ends_the_walk() {
        let file = [
            &20u32.to_be_bytes()[..],
            b"ftyp",
            &[0; 12],
            &u32::MAX.to_be_bytes(),
            b"moov",
            &[0; 8],
        ]
        .concat();
        assert_eq!(boxes(&file).count(), 1);
        assert_eq!(first_audio(&file), None);
        assert!(is_cut(&file) && is_cut(&file[..22]));
        assert!(!is_cut(&file[..20]) && !is_cut(&[]));
    }
}
