//! Texts and configs that cannot be spoken: one clear status within five seconds, and other streams go on.

mod streams;

use pb::OutputEncoding as Wire;
use pb::streaming_synthesis_input::Input as More;
use pb::streaming_synthesize_request::Request;
use pb::streaming_synthesize_response::Event;
use polyphony_proto::tts::v1 as pb;
use polyphony_proto::types::v1 as types;
use tokio::time::timeout;
use tonic::Code;

use crate::support::{
    Open, SOON, Served, assert_refused, audio, config, encoding, first, first_with, input, marker, more,
    request, served, ssml, text, turns,
};

/// A stream that must not feel what happens beside it.
async fn bystander(served: &Served) -> Open {
    let mut open = served.open().await.expect("opens");
    open.send(first(pb::SynthesisConfig::default())).await;
    assert!(matches!(open.next().await, Some(Event::Ready(_))));
    open
}

async fn assert_untouched(mut open: Open) {
    open.send(more("I felt nothing.")).await;
    drop(open.requests);
    let mut last = None;
    while let Some(reply) = open.replies.message().await.expect("untouched") {
        last = reply.event;
    }
    assert!(matches!(last, Some(Event::Ended(ended)) if ended.character_count == 15));
}

fn said(input: Option<pb::synthesis_input::Input>) -> pb::SynthesisInput {
    pb::SynthesisInput {
        input,
        ..Default::default()
    }
}

#[tokio::test]
async fn texts_that_cannot_be_spoken_are_refused_by_field() {
    let served = served(config()).await;
    let beside = bystander(&served).await;
    let several = |all| said(Some(pb::synthesis_input::Input::MultiSpeaker(turns(all))));
    let prompted = pb::SynthesisInput {
        prompt: "calmly".to_owned(),
        ..text("Hello.")
    };
    let long = "a ".repeat(2_500) + "a";
    let cases = [
        ("nothing", said(None), Code::InvalidArgument, "input"),
        ("empty", text(""), Code::InvalidArgument, "input.text"),
        ("space", text(" \n\t"), Code::InvalidArgument, "input.text"),
        (
            "too long",
            text(long.clone()),
            Code::ResourceExhausted,
            "input.text",
        ),
        (
            "too long in bytes too",
            text("ä".repeat(5_001)),
            Code::ResourceExhausted,
            "input.text",
        ),
        ("NUL", text("a\0b"), Code::InvalidArgument, "input.text"),
        ("a prompt", prompted, Code::InvalidArgument, "input.prompt"),
        (
            "no turns",
            several(&[]),
            Code::InvalidArgument,
            "input.multi_speaker.turns",
        ),
        (
            "no voices",
            several(&[("A", "Hello.")]),
            Code::InvalidArgument,
            "config.speaker_voices",
        ),
        ("an empty document", ssml(""), Code::InvalidArgument, "input.ssml"),
        (
            "not well formed",
            ssml("<speak>Hello"),
            Code::InvalidArgument,
            "input.ssml",
        ),
        ("no document", ssml("Hello"), Code::InvalidArgument, "input.ssml"),
        (
            "an element",
            ssml("<speak><audio src=\"a.wav\"/></speak>"),
            Code::InvalidArgument,
            "input.ssml",
        ),
        (
            "entities",
            ssml("<!DOCTYPE s [<!ENTITY a \"b\">]><speak>&a;</speak>"),
            Code::InvalidArgument,
            "input.ssml",
        ),
        (
            "NUL in a document",
            ssml("<speak>\0</speak>"),
            Code::InvalidArgument,
            "input.ssml",
        ),
        (
            "a deep document",
            ssml("<prosody>".repeat(500)),
            Code::InvalidArgument,
            "input.ssml",
        ),
        (
            "a long document",
            ssml(format!("<speak>{long}</speak>")),
            Code::ResourceExhausted,
            "input.ssml",
        ),
        (
            "another language",
            ssml("<speak xml:lang=\"fr\">Bonjour</speak>"),
            Code::InvalidArgument,
            "input.ssml",
        ),
    ];
    for (what, input, code, field) in cases {
        let status = served.refused(pb::SynthesisConfig::default(), input).await;
        assert_eq!(status.code(), code, "{what}: {status:?}");
        assert_refused(&status, code, field);
        assert!(status.message().len() < 500, "{what}: {}", status.message());
    }
    // The longest that is taken is spoken.
    let most = "a ".repeat(2_499) + "a.";
    let opus = audio(encoding(Wire::OggOpus));
    served
        .synthesize(opus, text(most))
        .await
        .expect("5,000 characters");
    assert_untouched(beside).await;
}

#[tokio::test]
async fn configs_that_cannot_be_honoured_are_refused_by_field() {
    let served = served(config()).await;
    let cases: Vec<(&str, Code, pb::SynthesisConfig)> = {
        let none = pb::SynthesisConfig::default;
        let audio = |audio: pb::AudioConfig| pb::SynthesisConfig {
            audio_config: Some(audio),
            ..none()
        };
        let plain = pb::AudioConfig::default;
        let speaker = |alias: &str, voice: &str| pb::SpeakerVoice {
            speaker_alias: alias.to_owned(),
            voice: voice.to_owned(),
        };
        let custom =
            |phrase: &str, encoding: pb::PhoneticEncoding, pronunciation: &str| pb::SynthesisConfig {
                custom_pronunciations: vec![pb::CustomPronunciation {
                    phrase: phrase.to_owned(),
                    phonetic_encoding: encoding.into(),
                    pronunciation: pronunciation.to_owned(),
                }],
                ..none()
            };
        let bad = Code::InvalidArgument;
        vec![
            (
                "config.language_code",
                bad,
                pb::SynthesisConfig {
                    language_code: "tlh".to_owned(),
                    ..none()
                },
            ),
            (
                "config.language_code",
                bad,
                pb::SynthesisConfig {
                    language_code: "not a code".to_owned(),
                    ..none()
                },
            ),
            (
                "config.language_code",
                bad,
                pb::SynthesisConfig {
                    language_code: "fr".to_owned(),
                    voice: "voices/espeak-de".to_owned(),
                    ..none()
                },
            ),
            (
                "config.voice",
                bad,
                pb::SynthesisConfig {
                    voice: "espeak-de".to_owned(),
                    ..none()
                },
            ),
            (
                "config.voice",
                bad,
                pb::SynthesisConfig {
                    voice: "voices/\0".to_owned(),
                    ..none()
                },
            ),
            (
                "config.voice",
                Code::NotFound,
                pb::SynthesisConfig {
                    voice: "voices/nobody".to_owned(),
                    ..none()
                },
            ),
            (
                "",
                Code::NotFound,
                pb::SynthesisConfig {
                    model: "nothing/there".to_owned(),
                    ..none()
                },
            ),
            (
                "config.speaker_voices[0].speaker_alias",
                bad,
                pb::SynthesisConfig {
                    speaker_voices: vec![speaker("", "voices/espeak-de")],
                    ..none()
                },
            ),
            (
                "config.speaker_voices[1].speaker_alias",
                bad,
                pb::SynthesisConfig {
                    speaker_voices: vec![speaker("A", "voices/espeak-de"), speaker("A", "voices/espeak-de")],
                    ..none()
                },
            ),
            (
                "config.speaker_voices",
                bad,
                pb::SynthesisConfig {
                    speaker_voices: vec![speaker("A", "voices/espeak-de")],
                    ..none()
                },
            ),
            (
                "config.audio_config.audio_encoding",
                bad,
                audio(pb::AudioConfig {
                    audio_encoding: 99,
                    ..plain()
                }),
            ),
            (
                "config.audio_config.sample_rate_hertz",
                bad,
                audio(pb::AudioConfig {
                    sample_rate_hertz: Some(7_999),
                    ..plain()
                }),
            ),
            (
                "config.audio_config.sample_rate_hertz",
                bad,
                audio(pb::AudioConfig {
                    sample_rate_hertz: Some(48_001),
                    ..plain()
                }),
            ),
            (
                "config.audio_config.sample_rate_hertz",
                bad,
                audio(pb::AudioConfig {
                    sample_rate_hertz: Some(22_050),
                    ..encoding(Wire::OggOpus)
                }),
            ),
            (
                "config.audio_config.sample_rate_hertz",
                bad,
                audio(pb::AudioConfig {
                    sample_rate_hertz: Some(9_000),
                    ..encoding(Wire::Mp3)
                }),
            ),
            (
                "config.audio_config.bit_rate",
                bad,
                audio(pb::AudioConfig {
                    bit_rate: Some(64_000),
                    ..plain()
                }),
            ),
            (
                "config.audio_config.bit_rate",
                bad,
                audio(pb::AudioConfig {
                    bit_rate: Some(5_999),
                    ..encoding(Wire::OggOpus)
                }),
            ),
            (
                "config.audio_config.bit_rate",
                bad,
                audio(pb::AudioConfig {
                    bit_rate: Some(63_000),
                    ..encoding(Wire::Mp3)
                }),
            ),
            (
                "config.audio_config.speaking_rate",
                bad,
                audio(pb::AudioConfig {
                    speaking_rate: Some(0.2),
                    ..plain()
                }),
            ),
            (
                "config.audio_config.speaking_rate",
                bad,
                audio(pb::AudioConfig {
                    speaking_rate: Some(f32::NAN),
                    ..plain()
                }),
            ),
            (
                "config.audio_config.pitch",
                bad,
                audio(pb::AudioConfig {
                    pitch: Some(21.0),
                    ..plain()
                }),
            ),
            (
                "config.audio_config.volume_gain_db",
                bad,
                audio(pb::AudioConfig {
                    volume_gain_db: Some(17.0),
                    ..plain()
                }),
            ),
            (
                "config.silence_scale",
                bad,
                pb::SynthesisConfig {
                    silence_scale: Some(3.1),
                    ..none()
                },
            ),
            (
                "config.seed",
                bad,
                pb::SynthesisConfig {
                    seed: Some(1),
                    ..none()
                },
            ),
            (
                "config.num_steps",
                bad,
                pb::SynthesisConfig {
                    num_steps: Some(4),
                    ..none()
                },
            ),
            (
                "config.expected_model_digest",
                bad,
                pb::SynthesisConfig {
                    expected_model_digest: "0".to_owned(),
                    ..none()
                },
            ),
            (
                "config.custom_pronunciations[0].phonetic_encoding",
                bad,
                custom("a", pb::PhoneticEncoding::Pinyin, "a1"),
            ),
            (
                "config.custom_pronunciations[0].pronunciation",
                bad,
                custom("a", pb::PhoneticEncoding::Ipa, "☃"),
            ),
            (
                "config.custom_pronunciations[0].phrase",
                bad,
                custom("...", pb::PhoneticEncoding::Ipa, "a"),
            ),
        ]
    };
    for (field, code, config) in cases {
        let status = served.refused(config, text("Hello.")).await;
        assert_refused(&status, code, field);
    }
}

#[tokio::test]
async fn the_queue_has_an_end() {
    let mut small = config();
    (small.workers, small.max_queue) = (1, 1);
    let served = served(small).await;
    let speak = || {
        let mut client = served.client.clone();
        let request = pb::SynthesizeRequest {
            config: None,
            input: Some(text("One two three four five six seven. ".repeat(20))),
        };
        tokio::spawn(async move { client.synthesize(request).await })
    };
    let all: Vec<_> = (0..6).map(|_| speak()).collect();
    let mut refused = 0;
    for one in all {
        match one.await.expect("runs") {
            Ok(_) => {}
            Err(status) => {
                refused += 1;
                assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
            }
        }
    }
    assert!(refused > 0, "six at once for one worker and one place");
    let _: types::Receipt = served
        .synthesize(pb::SynthesisConfig::default(), text("Hello."))
        .await
        .expect("goes on")
        .receipt
        .expect("told");
}
