//! H.264 to an MP4 file, its index in front so that it plays while it comes, with a comment in its metadata.

use std::num::NonZeroU32;

use shiguredo_mp4::boxes::{Avc1Box, AvccBox, FreeBox, SampleEntry, UnknownBox, VisualSampleEntryFields};
use shiguredo_mp4::mux::{
    Mp4FileMuxer, Mp4FileMuxerOptions, MuxError, Sample, estimate_maximum_moov_box_size,
};
use shiguredo_mp4::{BoxSize, BoxType, Encode as _, TrackKind, Uint};

use super::Frames;
use super::encoder::Stream;
use crate::error::{Error, Result};

/// Ticks of a frame; a second has as many more as there are frames in it.
const FRAME_TICKS: u32 = 1000;
/// What the header of the box of all frames takes, in bytes: the muxer writes it behind the room for the index.
const MDAT_HEADER: usize = 16;
/// What the header of any other box takes.
const BOX_HEADER: usize = 8;

/// The whole file.
pub(super) fn mux(frames: &Frames, frame_rate: f32, stream: &Stream, receipt: &str) -> Result<Vec<u8>> {
    let failed = |error: MuxError| Error::Encoding(error.to_string());
    let comment = metadata(receipt);
    let room =
        estimate_maximum_moov_box_size(&[stream.samples.len()]) + comment.payload.len() + 2 * BOX_HEADER;
    let mut muxer = Mp4FileMuxer::with_options(Mp4FileMuxerOptions {
        reserved_moov_box_size: room,
        ..Mp4FileMuxerOptions::default()
    })
    .map_err(failed)?;
    let mut file = muxer.initial_boxes_bytes().to_vec();
    let head = file.len() - MDAT_HEADER;
    let timescale =
        NonZeroU32::new((frame_rate * FRAME_TICKS as f32).round() as u32).unwrap_or(NonZeroU32::MIN);
    let mut entry = Some(sample_entry(frames, stream)?);
    for sample in &stream.samples {
        muxer
            .append_sample(&Sample {
                track_kind: TrackKind::Video,
                sample_entry: entry.take(),
                keyframe: sample.is_key,
                timescale,
                duration: FRAME_TICKS,
                composition_time_offset: None,
                data_offset: file.len() as u64,
                data_size: sample.bytes.len(),
            })
            .map_err(failed)?;
        file.extend_from_slice(&sample.bytes);
    }
    let boxes = muxer.finalize().map_err(failed)?;
    for (offset, bytes) in boxes.offset_and_bytes_pairs() {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let Some(place) = file.get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len())) else {
            return Err(Error::Encoding(
                "the index of the file does not fit before its frames".into(),
            ));
        };
        place.copy_from_slice(bytes);
    }
    // The muxer has no place for metadata, so its index is put once more, with a box behind its own.
    let mut index = boxes.moov_box().clone();
    index.unknown_boxes.push(comment);
    let index = index
        .encode_to_vec()
        .map_err(|error| Error::Encoding(error.to_string()))?;
    let begin = first_box(&file);
    let Some(left) = head.checked_sub(begin + index.len() + BOX_HEADER) else {
        return Err(Error::Encoding(
            "the receipt does not fit before the frames".into(),
        ));
    };
    let free = FreeBox {
        payload: vec![0; left],
    };
    let free = free
        .encode_to_vec()
        .map_err(|error| Error::Encoding(error.to_string()))?;
    file[begin..head].copy_from_slice(&[index, free].concat());
    Ok(file)
}

/// How long the first box of a file is, which says what kind of file it is.
fn first_box(file: &[u8]) -> usize {
    let length = file
        .first_chunk::<4>()
        .map_or(0, |bytes| u32::from_be_bytes(*bytes));
    usize::try_from(length).unwrap_or(0)
}

fn sample_entry(frames: &Frames, stream: &Stream) -> Result<SampleEntry> {
    let side = |pixels: u32| {
        u16::try_from(pixels)
            .map_err(|_| Error::Encoding(format!("a side of {pixels} pixels is too long for MP4")))
    };
    let Some([profile, constraints, level]) = stream
        .sps
        .get(1..4)
        .and_then(|bytes| bytes.first_chunk::<3>().copied())
    else {
        return Err(Error::Encoding("the stream's parameters are cut off".into()));
    };
    Ok(SampleEntry::Avc1(Avc1Box {
        visual: VisualSampleEntryFields {
            data_reference_index: VisualSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
            width: side(frames.width)?,
            height: side(frames.height)?,
            horizresolution: VisualSampleEntryFields::DEFAULT_HORIZRESOLUTION,
            vertresolution: VisualSampleEntryFields::DEFAULT_VERTRESOLUTION,
            frame_count: VisualSampleEntryFields::DEFAULT_FRAME_COUNT,
            compressorname: VisualSampleEntryFields::NULL_COMPRESSORNAME,
            depth: VisualSampleEntryFields::DEFAULT_DEPTH,
        },
        avcc_box: AvccBox {
            avc_profile_indication: profile,
            profile_compatibility: constraints,
            avc_level_indication: level,
            length_size_minus_one: Uint::new(3),
            sps_list: vec![stream.sps.clone()],
            pps_list: vec![stream.pps.clone()],
            chroma_format: None,
            bit_depth_luma_minus8: None,
            bit_depth_chroma_minus8: None,
            sps_ext_list: Vec::new(),
        },
        unknown_boxes: Vec::new(),
    }))
}

/// The comment, where players and ffprobe look for it: `udta/meta/ilst/©cmt`.
fn metadata(receipt: &str) -> UnknownBox {
    // Of type 1, UTF-8, in no language.
    let text = boxed(b"data", &[&[0, 0, 0, 1, 0, 0, 0, 0], receipt.as_bytes()].concat());
    let list = boxed(b"ilst", &boxed(b"\xa9cmt", &text));
    let handler = boxed(b"hdlr", &[&[0; 8], &b"mdirappl"[..], &[0; 9]].concat());
    let payload = boxed(b"meta", &[&[0; 4], handler.as_slice(), list.as_slice()].concat());
    UnknownBox {
        box_type: BoxType::Normal(*b"udta"),
        box_size: BoxSize::U32(u32::try_from(payload.len() + BOX_HEADER).unwrap_or(u32::MAX)),
        payload,
    }
}

fn boxed(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + BOX_HEADER).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], kind, payload].concat()
}
