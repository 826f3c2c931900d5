//! The program with espeak-ng, through a real socket, on a recording.

use polyphony_align::render;
use polyphony_proto::align::v1 as pb;
use polyphony_proto::types::v1::TimingSource;

use crate::support::{SPEECH, WORDS, align, english, inline, program, request, seconds, silence};

/// When the voice says the words: begin and end of each, as CMU Sphinx aligns them.
const TRUTH: [(f64, f64); 4] = [(0.73, 0.98), (0.98, 1.41), (1.41, 1.62), (1.62, 2.05)];

fn near(words: &[pb::AlignedWord]) {
    for (word, (start, end)) in words.iter().zip(TRUTH) {
        let (found_start, found_end) = (seconds(word.start_offset), seconds(word.end_offset));
        assert!((found_start - start).abs() < 0.12, "{word:?}, {start}");
        assert!((found_end - end).abs() < 0.15, "{word:?}, {end}");
    }
}

#[tokio::test]
async fn speech_and_its_text_become_words_characters_and_phones_with_times() {
    let client = program(&[]).await;
    let config = pb::AlignmentConfig {
        granularities: vec![
            pb::Granularity::Word.into(),
            pb::Granularity::Character.into(),
            pb::Granularity::Phoneme.into(),
        ],
        ..english()
    };
    let response = align(&client, request(config, SPEECH, WORDS))
        .await
        .expect("aligns");
    let words = &response.words;
    let texts: Vec<_> = words.iter().map(|word| word.word.as_str()).collect();
    assert_eq!(texts, ["Go", "forward,", "ten", "meters!"]);
    near(words);
    for word in words {
        let range = word.source_text_range.expect("a range");
        assert_eq!(
            &WORDS[range.start_byte as usize..range.end_byte as usize],
            word.word
        );
        assert_eq!(word.timing_source(), TimingSource::Aligned);
        let characters: String = word.characters.iter().map(|unit| unit.text.as_str()).collect();
        assert_eq!(characters, word.word);
        assert!(
            word.characters
                .iter()
                .all(|unit| unit.timing_source() == TimingSource::Interpolated)
        );
        assert!(
            word.phonemes
                .iter()
                .all(|unit| unit.timing_source() == TimingSource::Aligned)
        );
        let edges = (seconds(word.start_offset), seconds(word.end_offset));
        let units = word.characters.iter().chain(&word.phonemes);
        assert!(
            units
                .clone()
                .all(|unit| edges.0 <= seconds(unit.start_offset) && seconds(unit.end_offset) <= edges.1)
        );
        assert!(
            word.phonemes
                .is_sorted_by_key(|unit| unit.start_offset.map(|at| (at.seconds, at.nanos)))
        );
    }
    let phones: Vec<_> = words[2].phonemes.iter().map(|unit| unit.text.as_str()).collect();
    assert_eq!(phones, ["t", "ˈɛ", "n"]);
    assert!(response.alignment_quality > 0.3, "{}", response.alignment_quality);
    assert_eq!(seconds(response.audio_duration), 3.349);
    let effective = response.effective_config.expect("a config");
    assert_eq!(
        (effective.model.as_str(), effective.language_code.as_str()),
        ("espeak-ng-dtw", "en-US")
    );
    assert_eq!(effective.normalization(), pb::Normalization::SpokenForm);
    assert_eq!(effective.unaligned_policy(), pb::UnalignedPolicy::Wildcard);
    let receipt = response.receipt.expect("a receipt");
    assert_eq!((receipt.engine.as_str(), receipt.device.as_str()), ("dtw", "cpu"));
    assert!(receipt.engine_version.starts_with("espeak-ng ") && receipt.model_digest.starts_with("sha256:"));
    assert_eq!(receipt.degraded.expect("says so").reason, "NO_NEURAL_MODEL");
}

#[tokio::test]
async fn silence_before_behind_and_within_moves_no_word() {
    let client = program(&[]).await;
    let limits = polyphony_audio::limits::Limits::default();
    let decoded = polyphony_wire::audio::decode(
        SPEECH,
        polyphony_audio::stream::Format::Auto,
        &limits,
        &Default::default(),
    );
    let samples = decoded.expect("speech").pcm.into_samples();
    // Three seconds in front, two after "forward", four behind.
    let cut = (1.41 * 16_000.0) as usize;
    let hush = |seconds: usize| {
        vec![0.0005_f32; seconds * 16_000]
            .into_iter()
            .enumerate()
            .map(|(n, level)| if n % 2 == 0 { level } else { -level })
    };
    let all: Vec<f32> = hush(3)
        .chain(samples[..cut].iter().copied())
        .chain(hush(2))
        .chain(samples[cut..].iter().copied())
        .chain(hush(4))
        .collect();
    let pcm = polyphony_audio::pcm::Pcm::mono(all, polyphony_audio::pcm::SampleRate::SPEECH);
    let wav = polyphony_audio::write::wav(&pcm, polyphony_audio::write::WavFormat::S16).expect("small");
    let mut response = align(&client, request(english(), wav, WORDS))
        .await
        .expect("aligns");
    for (at, word) in response.words.iter_mut().enumerate() {
        let shift = if at < 2 { 3 } else { 5 };
        for offset in [&mut word.start_offset, &mut word.end_offset] {
            offset.as_mut().expect("a time").seconds -= shift;
        }
    }
    near(&response.words);
}

#[tokio::test]
async fn a_number_has_the_time_of_what_is_said_for_it() {
    let client = program(&[]).await;
    let response = align(&client, request(english(), SPEECH, "go forward 10 meters"))
        .await
        .expect("aligns");
    assert_eq!(response.words[2].word, "10");
    assert_eq!(response.words[2].timing_source(), TimingSource::Aligned);
    near(&response.words);
}

#[tokio::test]
async fn segments_limit_where_their_words_are_looked_for() {
    let client = program(&[]).await;
    // The same words twice; the text has them once, in the second recording.
    let limits = polyphony_audio::limits::Limits::default();
    let decoded = polyphony_wire::audio::decode(
        SPEECH,
        polyphony_audio::stream::Format::Auto,
        &limits,
        &Default::default(),
    );
    let samples = decoded.expect("speech").pcm.into_samples();
    let twice: Vec<f32> = samples
        .iter()
        .chain(&vec![0.0; 64_000])
        .chain(&samples)
        .copied()
        .collect();
    let begin = (samples.len() + 64_000) as f64 / 16_000.0;
    let pcm = polyphony_audio::pcm::Pcm::mono(twice, polyphony_audio::pcm::SampleRate::SPEECH);
    let wav = polyphony_audio::write::wav(&pcm, polyphony_audio::write::WavFormat::S16).expect("small");
    let offset = |seconds: f64| {
        Some(prost_types::Duration {
            seconds: seconds as i64,
            nanos: (seconds.fract() * 1e9) as i32,
        })
    };
    let segments = vec![
        pb::TranscriptSegment {
            text: "go forward".to_owned(),
            start_offset: offset(begin),
            end_offset: None,
            speaker_label: "A".to_owned(),
        },
        pb::TranscriptSegment {
            text: "ten meters".to_owned(),
            start_offset: offset(begin + 1.0),
            end_offset: offset(begin + 2.5),
            speaker_label: "B".to_owned(),
        },
    ];
    let request = pb::AlignRequest {
        config: Some(english()),
        audio: inline(wav),
        transcript: Some(pb::align_request::Transcript::Segments(pb::SegmentedTranscript {
            segments,
        })),
    };
    let response = align(&client, request).await.expect("aligns");
    for (word, (start, _)) in response.words.iter().zip(TRUTH) {
        assert!(
            (seconds(word.start_offset) - begin - start).abs() < 0.15,
            "{word:?}"
        );
    }
    let speakers: Vec<_> = response
        .words
        .iter()
        .map(|word| word.speaker_label.as_str())
        .collect();
    assert_eq!(speakers, ["A", "A", "B", "B"]);
    let last = response.words[3].source_text_range.expect("a range");
    assert_eq!((last.start_byte, last.end_byte), (15, 21), "behind a line feed");
    // The first recording is speech that the text has not.
    assert!(!response.unaligned_spans.is_empty());
}

#[tokio::test]
async fn another_text_does_not_fit_as_well() {
    let client = program(&[]).await;
    let right = align(&client, request(english(), SPEECH, WORDS))
        .await
        .expect("aligns");
    let wrong = [
        "seventy silly sheep asleep",
        "please mister postman look and see",
        "a book",
    ];
    for text in wrong {
        let found = align(&client, request(english(), SPEECH, text))
            .await
            .expect("fits in");
        assert!(
            found.alignment_quality < 0.3 && found.alignment_quality < right.alignment_quality,
            "{text}: {} beside {}",
            found.alignment_quality,
            right.alignment_quality
        );
    }
}

#[tokio::test]
async fn nobody_speaks_in_silence() {
    let client = program(&[]).await;
    let response = align(&client, request(english(), silence(6.0), WORDS))
        .await
        .expect("fits in");
    assert!(response.alignment_quality < 0.3, "{}", response.alignment_quality);
}

#[tokio::test]
async fn capabilities_name_languages_limits_and_the_fallback() {
    let client = program(&[]).await;
    let told = client
        .clone()
        .get_capabilities(pb::GetCapabilitiesRequest {})
        .await;
    let told = told.expect("capabilities").into_inner();
    let model = told
        .models
        .iter()
        .find(|model| model.engine == "dtw")
        .expect("espeak-ng");
    assert!(model.language_codes.len() > 90 && model.language_codes.contains(&"sw".to_owned()));
    assert!(
        model.degraded.is_some()
            && model
                .supported_fields
                .contains(&"config.granularities".to_owned())
    );
    assert_eq!(
        (seconds(told.max_audio_duration), told.max_message_bytes),
        (7200.0, 32 << 20)
    );
}

#[tokio::test]
async fn words_from_the_wire_become_files() {
    let client = program(&[]).await;
    let response = align(&client, request(english(), SPEECH, WORDS))
        .await
        .expect("aligns");
    let time = |offset| std::time::Duration::from_secs_f64(seconds(offset));
    let words: Vec<render::Timed> = response
        .words
        .iter()
        .map(|word| render::Timed {
            text: word.word.clone(),
            time: time(word.start_offset)..time(word.end_offset),
            score: word.score,
            ..render::Timed::default()
        })
        .collect();
    assert!(render::srt(&words).contains("Go forward, ten meters!"));
    assert_eq!(render::ctm(&words, "go").lines().count(), 4);
    assert!(render::textgrid(&words, time(response.audio_duration)).contains("xmax = 3.349"));
}
