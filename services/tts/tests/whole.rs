//! Whole texts with espeak-ng: every encoding is decoded again, every setting is heard, every word is where it says.

use std::time::Duration;

use pb::OutputEncoding as Wire;
use polyphony_audio::pcm::{Encoding, Pcm};
use polyphony_proto::tts::v1 as pb;
use tonic::Code;

use crate::support::{
    Served, assert_status, assert_words, audio, config, encoding, heard, loudness, raw, served, ssml, text,
    time, turns, words,
};

const TEXT: &str = "The quick brown fox jumps over the lazy dog. Dr. Smith paid $3.50 for it, didn't he?";

async fn spoken(served: &Served, config: pb::SynthesisConfig) -> pb::SynthesizeResponse {
    served.synthesize(config, text(TEXT)).await.expect("speaks")
}

#[tokio::test]
async fn every_encoding_holds_the_same_speech() {
    let served = served(config()).await;
    let reference = spoken(&served, audio(encoding(Wire::Wav))).await;
    let wav = heard(&reference.audio_content);
    assert!(wav.duration() > Duration::from_secs(3) && loudness(&wav) > 0.01);
    assert_eq!(time(reference.audio_duration), wav.duration());
    for (wire, expand, rate) in [
        (Wire::Linear16, Some(Encoding::S16), 22_050),
        (Wire::Float32, Some(Encoding::F32), 22_050),
        (Wire::Mulaw, Some(Encoding::MuLaw), 22_050),
        (Wire::Alaw, Some(Encoding::ALaw), 22_050),
        (Wire::Flac, None, 22_050),
        (Wire::OggOpus, None, 48_000),
        (Wire::Mp3, None, 22_050),
    ] {
        let answer = spoken(&served, audio(encoding(wire))).await;
        let pcm = match expand {
            Some(encoding) => raw(&answer.audio_content, encoding, rate),
            None => heard(&answer.audio_content),
        };
        assert_eq!(pcm.spec().rate.hz(), rate, "{wire:?}");
        assert_eq!(time(answer.audio_duration), pcm.duration(), "{wire:?}");
        // espeak-ng's pitch flutters, so the same text is never quite the same sound.
        let (own, other) = (loudness(&pcm), loudness(&wav));
        assert!(
            (own / other - 1.0).abs() < 0.1,
            "{wire:?}: {own} where WAV has {other}"
        );
        let length = pcm.duration().as_secs_f64() / wav.duration().as_secs_f64();
        assert!((length - 1.0).abs() < 0.02, "{wire:?}: {length}");
        let effective = answer
            .effective_config
            .and_then(|config| config.audio_config)
            .expect("told");
        assert_eq!(
            (effective.audio_encoding(), effective.sample_rate_hertz),
            (wire, Some(rate))
        );
    }
}

#[tokio::test]
async fn rates_are_as_asked_for() {
    let served = served(config()).await;
    for (wire, rate) in [
        (Wire::Wav, 8_000),
        (Wire::Flac, 44_100),
        (Wire::Mp3, 16_000),
        (Wire::Wav, 48_000),
    ] {
        let asked = pb::AudioConfig {
            sample_rate_hertz: Some(rate),
            ..encoding(wire)
        };
        let answer = spoken(&served, audio(asked)).await;
        assert_eq!(heard(&answer.audio_content).spec().rate.hz(), rate);
    }
    let opus = pb::AudioConfig {
        bit_rate: Some(16_000),
        ..encoding(Wire::OggOpus)
    };
    let small = spoken(&served, audio(opus)).await.audio_content.len();
    let usual = spoken(&served, audio(encoding(Wire::OggOpus)))
        .await
        .audio_content
        .len();
    assert!(small * 2 < usual, "{small} where 64 kbit/s take {usual}");
}

/// The length and loudness of the same text, said otherwise.
async fn manner(served: &Served, config: pb::SynthesisConfig) -> (f64, f64, Pcm) {
    let answer = spoken(served, config).await;
    let pcm = heard(&answer.audio_content);
    (pcm.duration().as_secs_f64(), loudness(&pcm), pcm)
}

#[tokio::test]
async fn rate_volume_pauses_and_pitch_are_heard() {
    let served = served(config()).await;
    let (length, loud, natural) = manner(&served, pb::SynthesisConfig::default()).await;
    let with = |config: pb::AudioConfig| audio(config);
    let (fast, _, _) = manner(
        &served,
        with(pb::AudioConfig {
            speaking_rate: Some(2.0),
            ..Default::default()
        }),
    )
    .await;
    assert!((0.4..0.62).contains(&(fast / length)), "{}", fast / length);
    let (_, quiet, _) = manner(
        &served,
        with(pb::AudioConfig {
            volume_gain_db: Some(-12.0),
            ..Default::default()
        }),
    )
    .await;
    assert!((3.6..4.4).contains(&(loud / quiet)), "{}", loud / quiet);
    let scaled = pb::SynthesisConfig {
        silence_scale: Some(3.0),
        ..Default::default()
    };
    let (slow, _, _) = manner(&served, scaled).await;
    assert!(slow > length + 0.2, "{slow} where {length} is natural");
    let (_, _, high) = manner(
        &served,
        with(pb::AudioConfig {
            pitch: Some(8.0),
            ..Default::default()
        }),
    )
    .await;
    let times = pitch(&high) / pitch(&natural);
    // Eight semitones are 1.59 times.
    assert!((1.35..1.85).contains(&times), "the pitch went up {times} times");
}

/// The pitch in Hz: of windows of 40 ms that are voiced, the one in the middle. A window's is the lag at which it is most
/// like itself.
fn pitch(pcm: &Pcm) -> f64 {
    let rate = pcm.spec().rate.hz() as usize;
    let mut found = Vec::new();
    for window in pcm.samples().chunks_exact(rate / 25) {
        let alike = |lag: usize| -> f64 {
            let pairs = window.iter().zip(&window[lag..]);
            pairs.map(|(one, other)| f64::from(one * other)).sum()
        };
        let power = alike(0);
        let best = (rate / 400..rate / 70)
            .map(|lag| (alike(lag), lag))
            .max_by(|one, other| one.0.total_cmp(&other.0));
        if let Some((likeness, lag)) = best
            && power > 0.5
            && likeness > power * 0.5
        {
            found.push(rate as f64 / lag as f64);
        }
    }
    found.sort_by(f64::total_cmp);
    assert!(found.len() > 5, "{} windows are voiced", found.len());
    found[found.len() / 2]
}

#[tokio::test]
async fn words_are_where_and_when_they_say() {
    let served = served(config()).await;
    let asked = words(pb::SynthesisConfig {
        enable_phoneme_time_offsets: Some(true),
        audio_config: Some(pb::AudioConfig {
            speaking_rate: Some(0.8),
            ..encoding(Wire::Wav)
        }),
        ..Default::default()
    });
    let answer = spoken(&served, asked).await;
    let length = time(answer.audio_duration);
    assert_words(&answer.words, TEXT, length);
    let told: Vec<&str> = answer.words.iter().map(|word| word.word.as_str()).collect();
    let wanted = "The quick brown fox jumps over the lazy dog Dr Smith paid $3.50 for it didn't he";
    assert_eq!(told.join(" "), wanted);
    // The words take most of the time, and there is sound in each.
    let pcm = heard(&answer.audio_content);
    for word in &answer.words {
        let (start, end) = (time(word.start_offset), time(word.end_offset));
        let rate = pcm.spec().rate;
        let stretch =
            &pcm.samples()[rate.frames(start) as usize..rate.frames(end).min(pcm.frames()) as usize];
        let loudest = stretch
            .iter()
            .fold(0.0_f32, |most, sample| most.max(sample.abs()));
        assert!(loudest > 0.02, "{word:?}: {loudest}");
        assert!(!word.phonemes.is_empty(), "{word:?}");
        assert!(
            word.phonemes.iter().any(|phone| phone.viseme_id.is_some()),
            "{word:?}"
        );
    }
    let plain = spoken(&served, pb::SynthesisConfig::default()).await;
    assert!(plain.words.is_empty());
}

#[tokio::test]
async fn ssml_is_spoken_with_its_marks() {
    let served = served(config()).await;
    let document = "<speak>One <mark name=\"a\"/>two.<break time=\"700ms\"/>\
                    <prosody rate=\"fast\">three</prosody> <say-as interpret-as=\"characters\">four</say-as>\
                    <mark name=\"b\"/></speak>";
    let answer = served
        .synthesize(words(pb::SynthesisConfig::default()), ssml(document))
        .await
        .expect("speaks");
    let marks: Vec<(&str, Duration)> = answer
        .timepoints
        .iter()
        .map(|mark| (mark.mark_name.as_str(), time(mark.offset)))
        .collect();
    let length = time(answer.audio_duration);
    assert_eq!((marks[0].0, marks[1].0, marks.len()), ("a", "b", 2));
    assert!(
        marks[0].1 > Duration::from_millis(100) && marks[1].1 <= length,
        "{marks:?}"
    );
    let two = answer
        .words
        .iter()
        .find(|word| word.word == "two")
        .expect("a word");
    let three = answer
        .words
        .iter()
        .find(|word| word.word == "three")
        .expect("a word");
    assert_eq!(
        document.find("two"),
        two.source_text_range.map(|range| range.start_byte as usize)
    );
    let pause = time(three.start_offset).saturating_sub(time(two.end_offset));
    assert!(pause >= Duration::from_millis(650), "{pause:?}");
}

#[tokio::test]
async fn several_speak_with_voices_of_their_own() {
    let served = served(config()).await;
    let voice = |alias: &str, voice: &str| pb::SpeakerVoice {
        speaker_alias: alias.to_owned(),
        voice: voice.to_owned(),
    };
    let asked = words(pb::SynthesisConfig {
        speaker_voices: vec![
            voice("A", "voices/espeak-en-us"),
            voice("B", "voices/espeak-en-us-f"),
        ],
        ..Default::default()
    });
    let said = |turns| pb::SynthesisInput {
        input: Some(pb::synthesis_input::Input::MultiSpeaker(turns)),
        ..Default::default()
    };
    let input = said(turns(&[
        ("A", "Hello there."),
        ("B", "Good day to you."),
        ("A", "Bye."),
    ]));
    let answer = served.synthesize(asked.clone(), input).await.expect("speaks");
    let all = "Hello there.Good day to you.Bye.";
    assert_words(&answer.words, all, time(answer.audio_duration));
    assert_eq!(answer.words.len(), 7);
    // The second speaker is heard as higher.
    let pcm = heard(&answer.audio_content);
    let cut = |from: usize, to: usize| {
        let rate = pcm.spec().rate;
        let from = rate.frames(time(answer.words[from].start_offset)) as usize;
        let to = rate.frames(time(answer.words[to].end_offset)) as usize;
        Pcm::mono(pcm.samples()[from..to].to_vec(), rate)
    };
    let (low, high) = (pitch(&cut(0, 1)), pitch(&cut(2, 5)));
    assert!(high > low * 1.3, "{high} Hz and {low} Hz");
    let status = served.refused(asked, said(turns(&[("C", "Who am I?")]))).await;
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn words_can_be_given_their_pronunciation() {
    let served = served(config()).await;
    let custom = |pronunciation: &str, encoding: pb::PhoneticEncoding| pb::SynthesisConfig {
        custom_pronunciations: vec![pb::CustomPronunciation {
            phrase: "gif".to_owned(),
            phonetic_encoding: encoding.into(),
            pronunciation: pronunciation.to_owned(),
        }],
        enable_phoneme_time_offsets: Some(true),
        ..Default::default()
    };
    for (config, wanted) in [
        (custom("dʒɪf", pb::PhoneticEncoding::Ipa), "dʒ"),
        (custom("gIf", pb::PhoneticEncoding::XSampa), "ɡ"),
    ] {
        let answer = served.synthesize(config, text("My GIF.")).await.expect("speaks");
        let word = answer
            .words
            .iter()
            .find(|word| word.word == "GIF")
            .expect("the word");
        assert!(
            word.phonemes
                .iter()
                .any(|phone| phone.phoneme.starts_with(wanted)),
            "{wanted} is not in {:?}",
            word.phonemes
        );
    }
}

#[tokio::test]
async fn the_answer_says_how_it_was_made() {
    let served = served(config()).await;
    let asked = pb::SynthesisConfig {
        language_code: "de".to_owned(),
        ..Default::default()
    };
    let answer = served
        .synthesize(asked, text("Guten Tag."))
        .await
        .expect("speaks");
    let effective = answer.effective_config.expect("told");
    assert_eq!(effective.model, "espeak-ng");
    assert_eq!(
        (effective.language_code.as_str(), effective.voice.as_str()),
        ("de", "voices/espeak-de")
    );
    assert_eq!(effective.silence_scale, Some(1.0));
    let receipt = answer.receipt.expect("a receipt");
    assert_eq!(
        (receipt.engine.as_str(), receipt.device.as_str()),
        ("espeak", "cpu")
    );
    assert!(!receipt.request_id.is_empty());
    let degraded = receipt.degraded.expect("it is a fallback");
    assert_eq!(degraded.reason, "NO_NEURAL_VOICE");
    let timings = receipt.timings.expect("timings");
    assert!(time(timings.inference_duration) > Duration::ZERO);
    // A digest that is another's stops it.
    let pinned = pb::SynthesisConfig {
        expected_model_digest: format!("sha256:{}", "1".repeat(64)),
        ..Default::default()
    };
    let status = served.refused(pinned, text("No.")).await;
    assert_status(&status, Code::FailedPrecondition, "MODEL_DIGEST_MISMATCH");
}

#[tokio::test]
async fn more_audio_than_an_answer_holds_is_refused_with_the_ways_out() {
    let mut small = config();
    small.server.limits.max_send_message = polyphony_config::ByteSize(200 << 10);
    let served = served(small).await;
    let long = TEXT.repeat(10);
    let status = served
        .refused(pb::SynthesisConfig::default(), text(long.clone()))
        .await;
    assert_status(&status, Code::ResourceExhausted, "AUDIO_TOO_LARGE");
    assert!(status.message().contains("OGG_OPUS"), "{}", status.message());
    let opus = audio(pb::AudioConfig {
        bit_rate: Some(16_000),
        ..encoding(Wire::OggOpus)
    });
    served.synthesize(opus, text(long)).await.expect("fits");
}

#[tokio::test]
async fn capabilities_are_told() {
    let served = served(config()).await;
    let told = served
        .client
        .clone()
        .get_capabilities(pb::GetCapabilitiesRequest {})
        .await;
    let told = told.expect("told").into_inner();
    assert_eq!(told.models[0].model, "espeak-ng");
    assert!(told.models[0].language_codes.iter().any(|code| code == "de"));
    assert!(
        told.models[0]
            .supported_fields
            .iter()
            .any(|field| field == "config.enable_word_time_offsets")
    );
    assert!(
        !told.models[0]
            .supported_fields
            .iter()
            .any(|field| field == "config.seed")
    );
    assert_eq!(told.encodings.len(), 8);
    assert!(told.ssml_elements.iter().any(|element| element == "prosody"));
    assert_eq!(
        (told.max_streams, told.max_characters, told.voice_cloning),
        (4, 5_000, false)
    );
}
