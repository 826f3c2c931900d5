//! Files that are read back by a demuxer and a decoder.

use std::fs;

use openh264::decoder::Decoder;
use openh264::formats::YUVSource as _;
use shiguredo_mp4::boxes::SampleEntry;
use shiguredo_mp4::demux::{Input, Mp4FileDemuxer};

use super::*;
use crate::error::Error;

/// A grey that brightens from left to right and from frame to frame, with a red square that moves.
fn frames(width: u32, height: u32, count: u32) -> Frames {
    let mut rgb = Vec::new();
    for frame in 0..count {
        for y in 0..height {
            for x in 0..width {
                let is_square = (x / 8, y / 8) == (frame % (width / 8), 1);
                let grey = u8::try_from((x * 2 + frame * 4).min(255)).unwrap();
                rgb.extend_from_slice(&if is_square { [220, 20, 20] } else { [grey; 3] });
            }
        }
    }
    Frames { width, height, rgb }
}

fn written(folder: &Path, frames: &Frames, rate: f32, receipt: &str) -> (Written, Vec<u8>) {
    let output = folder.join("film.mp4");
    let written = write(&output, frames, rate, receipt, &mut || Ok(())).unwrap();
    (written, fs::read(output).unwrap())
}

#[test]
fn a_file_comes_back_frame_by_frame() {
    let folder = tempfile::tempdir().unwrap();
    let frames = frames(64, 48, 33);
    let (_, file) = written(folder.path(), &frames, 29.97, "{}");

    let mut demuxer = Mp4FileDemuxer::new();
    demuxer.handle_input(Input {
        position: 0,
        data: &file,
    });
    let tracks = demuxer.tracks().unwrap();
    assert_eq!(tracks.len(), 1);
    assert_eq!(tracks[0].timescale.get(), 29_970);
    let mut decoder = Decoder::new().unwrap();
    let (mut count, mut keys, mut time) = (0, Vec::new(), 0_u64);
    while let Some(sample) = demuxer.next_sample().unwrap() {
        assert_eq!(sample.timestamp, time);
        time += u64::from(sample.duration);
        let mut stream = Vec::new();
        if let Some(SampleEntry::Avc1(entry)) = sample.sample_entry {
            assert_eq!((entry.visual.width, entry.visual.height), (64, 48));
            for unit in entry.avcc_box.sps_list.iter().chain(&entry.avcc_box.pps_list) {
                stream.extend_from_slice(&[&[0, 0, 0, 1], unit.as_slice()].concat());
            }
        }
        let at = usize::try_from(sample.data_offset).unwrap();
        let mut rest = &file[at..at + sample.data_size];
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let (unit, behind) = behind.split_at(u32::from_be_bytes(*length) as usize);
            stream.extend_from_slice(&[&[0, 0, 0, 1], unit].concat());
            rest = behind;
        }
        let decoded = decoder.decode(&stream).unwrap().expect("a frame for each sample");
        assert_eq!(decoded.dimensions(), (64, 48));
        let mut rgb = vec![0; frames.picture_bytes()];
        decoded.write_rgb8(&mut rgb);
        let whole = frames.pictures().nth(count).unwrap();
        let apart: f64 = rgb
            .iter()
            .zip(whole)
            .map(|(a, b)| f64::from(a.abs_diff(*b)))
            .sum();
        let mean = apart / rgb.len() as f64;
        assert!(mean < 6.0, "frame {count} is apart by {mean} on average");
        if sample.keyframe {
            keys.push(count);
        }
        count += 1;
    }
    assert_eq!(count, 33);
    assert_eq!(keys, [0, 16, 32]);
}

#[test]
fn the_same_frames_are_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let frames = frames(48, 32, 9);
    let (first, bytes) = written(folder.path(), &frames, 16.0, "{\"seed\":1}");
    let (second, again) = written(folder.path(), &frames, 16.0, "{\"seed\":1}");
    assert_eq!((first.clone(), &bytes), (second, &again));
    assert_eq!(first.size_bytes, bytes.len() as u64);
    assert_eq!(first.sha256.len(), 64);
    let (other, _) = written(folder.path(), &frames, 16.0, "{\"seed\":2}");
    assert_ne!(other.sha256, first.sha256);
}

#[test]
fn receipts_of_any_length_are_in_the_metadata_before_the_frames() {
    let folder = tempfile::tempdir().unwrap();
    for length in [0, 1, 7, 8, 100, 20_000] {
        let receipt: String = "é€x".chars().cycle().take(length).collect();
        let (_, file) = written(folder.path(), &frames(32, 32, 1), 16.0, &receipt);
        let find = |wanted: &[u8]| {
            file.windows(wanted.len())
                .position(|bytes| bytes == wanted)
                .unwrap()
        };
        let comment = find(b"\xa9cmt");
        assert!(find(b"moov") < comment && comment < find(b"mdat"));
        // Behind the box's name: the inner box's length and name, its type and language.
        assert_eq!(&file[comment + 20..][..receipt.len()], receipt.as_bytes());
        let mut demuxer = Mp4FileDemuxer::new();
        demuxer.handle_input(Input {
            position: 0,
            data: &file,
        });
        assert_eq!(demuxer.tracks().unwrap().len(), 1);
    }
}

#[test]
fn who_gives_up_or_has_no_folder_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("film.mp4");
    let mut left = 3;
    let mut go_on = || {
        left -= 1;
        if left == 0 { Err(Error::Cancelled) } else { Ok(()) }
    };
    let given_up = write(&output, &frames(32, 32, 9), 16.0, "", &mut go_on);
    assert!(matches!(given_up, Err(Error::Cancelled)));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    let nowhere = folder.path().join("absent").join("film.mp4");
    let failed = write(&nowhere, &frames(32, 32, 1), 16.0, "", &mut || Ok(())).unwrap_err();
    assert!(failed.message().contains("absent"), "{}", failed.message());

    // A folder is in its place, so the last step fails; what was written aside is gone.
    fs::create_dir(&output).unwrap();
    fs::write(output.join("kept"), b"").unwrap();
    assert!(write(&output, &frames(32, 32, 1), 16.0, "", &mut || Ok(())).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_mark_can_be_read_at_any_size() {
    for (width, height) in [(16, 16), (48, 32), (192, 112), (832, 480), (480, 832)] {
        let mut marked = frames(width, height, 2);
        let before = marked.clone();
        mark(&mut marked);
        assert_ne!(marked, before);
        let top = before.picture_bytes() / 2;
        assert_eq!(
            marked.rgb[..top],
            before.rgb[..top],
            "the upper half is as it was"
        );
        let mut plain = Frames {
            rgb: vec![128; before.rgb.len()],
            ..before
        };
        mark(&mut plain);
        let white = plain
            .rgb
            .chunks_exact(3)
            .filter(|pixel| *pixel == [255; 3])
            .count();
        // Two pictures; dots are squares.
        let dot = (width / 79).min(height / 27) as usize;
        assert_eq!(white, 2 * DOTS * dot * dot);
        assert_eq!(dot > 0, width >= 79 && height >= 27);
    }
}

/// The dots of "DUMMY WEIGHTS", counted by hand.
const DOTS: usize = 18 + 15 + 18 + 18 + 10 + 18 + 18 + 11 + 18 + 17 + 11 + 15;

#[test]
fn previews_are_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("preview.jpg");
    let frames = frames(64, 48, 1);
    preview(&output, &frames).unwrap();
    let picture = image::open(&output).unwrap().to_rgb8();
    assert_eq!(picture.dimensions(), (64, 48));
    let apart: f64 = picture
        .as_raw()
        .iter()
        .zip(&frames.rgb)
        .map(|(a, b)| f64::from(a.abs_diff(*b)))
        .sum();
    assert!(apart / (frames.rgb.len() as f64) < 6.0);
}
