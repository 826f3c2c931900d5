//! Streams give the same sound as files, whatever the cuts, and as it arrives.

use polyphony_audio::Error;
use polyphony_audio::decode::decode;
use polyphony_audio::limits::{Cancel, Limits};
use polyphony_audio::pcm::Spec;
use polyphony_audio::stream::{Format, StreamDecoder};
use polyphony_audio::write::{WavFormat, append_samples, wav_stream_header};

use super::media::{FIXTURES, speech, tone_wav};

/// The sound, and how much of it came before the end.
fn stream(bytes: &[u8], cut: usize) -> Result<(Vec<f32>, usize), Error> {
    let mut decoder = StreamDecoder::new(Format::Auto, Limits::default())?;
    let mut samples = Vec::new();
    let mut drain = |decoder: &mut StreamDecoder| {
        while let Some(block) = decoder.next_block()? {
            samples.extend(block.into_samples());
        }
        Ok(samples.len())
    };
    for piece in bytes.chunks(cut) {
        decoder.feed(piece)?;
        drain(&mut decoder)?;
    }
    let before = drain(&mut decoder)?;
    decoder.finish();
    drain(&mut decoder)?;
    Ok((samples, before))
}

#[test]
fn a_stream_sounds_as_its_file_whatever_the_cuts() {
    for fixture in FIXTURES.iter().filter(|fixture| fixture.streams) {
        let name = fixture.name;
        let file = decode(fixture.bytes, &Limits::default(), &Cancel::new()).expect(name);
        let file = file.pcm.into_samples();
        for cut in [1, 7, 100, 1_024, fixture.bytes.len()] {
            let (samples, before) = stream(fixture.bytes, cut).expect(name);
            assert!(samples == file, "{name} in pieces of {cut}");
            // Frame by frame, or page by page; the file of one frame has nothing before its end.
            assert!(
                before > samples.len() / 2 || fixture.frames < 5_000,
                "{name}: {before} of {}",
                samples.len()
            );
        }
    }
}

#[test]
fn wav_streams_in_pieces_of_any_size() {
    let file = tone_wav();
    let whole = decode(&file, &Limits::default(), &Cancel::new())
        .expect("decoded")
        .pcm
        .into_samples();
    let mut endless = wav_stream_header(Spec::SPEECH, WavFormat::S16).to_vec();
    append_samples(&mut endless, speech().samples(), WavFormat::S16);
    for bytes in [file, endless] {
        for cut in [1, 3, 160, 50_000] {
            assert_eq!(
                stream(&bytes, cut),
                Ok((whole.clone(), whole.len())),
                "in pieces of {cut}"
            );
        }
    }
}

#[test]
fn mp4_is_not_decoded_as_it_arrives() {
    for fixture in FIXTURES.iter().filter(|fixture| !fixture.streams) {
        let error = stream(fixture.bytes, 1_000).expect_err(fixture.name);
        assert!(matches!(error, Error::NotStreamable { .. }));
        assert!(
            error.to_string().contains("send the whole file to Recognize"),
            "{error}"
        );
    }
}

#[test]
fn a_stream_that_stops_early_says_so_at_its_end() {
    for fixture in FIXTURES
        .iter()
        .filter(|fixture| fixture.streams && fixture.name != "tone_id3_cbr.mp3")
    {
        let cut = fixture.cut();
        let error = stream(cut, 333).expect_err(fixture.name);
        assert!(
            matches!(error, Error::Truncated { .. }),
            "{}: {error:?}",
            fixture.name
        );
    }
}

#[test]
fn nothing_and_nonsense_are_refused() {
    assert_eq!(stream(b"", 1), Err(Error::Empty));
    assert!(matches!(
        stream(b"these are no samples", 3),
        Err(Error::NotAudio { .. })
    ));
    assert!(matches!(
        stream(b"fLaC, or so it says, but it is not", 5),
        Err(Error::Truncated { .. })
    ));
}
