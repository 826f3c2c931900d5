//! Voices as resources: the models' own, and stored ones with owners, tenants, consent and an end, in a real folder.

mod bucket;
mod owners;
mod stores;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use polyphony_audio::pcm::{Pcm, SampleRate};
use polyphony_audio::write::{WavFormat, wav};
use polyphony_chassis::config::{ChannelConfig, ClientTlsConfig, TlsConfig};
use polyphony_chassis::connect::{self, Client};
use polyphony_config::HumanDuration;
use polyphony_proto::tts::v1 as pb;
use polyphony_proto::tts::v1::tts_service_client::TtsServiceClient;
use polyphony_proto::types::v1 as types;
use polyphony_testing::{Authority, Leaf, PemFiles};
use polyphony_tts::voices::Voices;
use polyphony_tts::voices::storage::{Storage, VoicesConfig};
use prost_types::{FieldMask, Timestamp};
use tonic::{Code, Status};

use bucket::Bucket;

use crate::support::{
    SOON, Served, assert_refused, assert_status, config, heard, loudness, served, served_in_tls, text,
};

/// Puts a record into the store, as an operator does.
fn store(voices: &Path, id: &str, record: &str) {
    let folder = voices.join(id);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("voice.json"), record).expect("a record");
}

fn narrator(owner: &str) -> String {
    format!(
        r#"{{ "voice": "voices/espeak-en-us-f", "display_name": "The narrator", "speaking_rate": 0.5, "owner": "{owner}" }}"#
    )
}

fn in_seconds(seconds: i64) -> Option<Timestamp> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970");
    Some(Timestamp {
        seconds: now.as_secs() as i64 + seconds,
        nanos: 0,
    })
}

fn consent() -> types::Consent {
    types::Consent {
        subject: "J. Doe".to_owned(),
        consent_time: in_seconds(-60),
        statement: "My voice may read books.".to_owned(),
        evidence: "contract 7".to_owned(),
    }
}

async fn get(served: &Served, name: &str) -> Result<pb::Voice, Status> {
    let request = pb::GetVoiceRequest {
        name: name.to_owned(),
    };
    served
        .client
        .clone()
        .get_voice(request)
        .await
        .map(tonic::Response::into_inner)
}

async fn update(served: &Served, voice: pb::Voice, fields: &[&str]) -> Result<pb::Voice, Status> {
    let update_mask = (!fields.is_empty()).then(|| FieldMask {
        paths: fields.iter().map(|field| (*field).to_owned()).collect(),
    });
    let request = pb::UpdateVoiceRequest {
        voice: Some(voice),
        update_mask,
    };
    served
        .client
        .clone()
        .update_voice(request)
        .await
        .map(tonic::Response::into_inner)
}

async fn delete(served: &Served, name: &str, etag: &str) -> Result<(), Status> {
    let request = pb::DeleteVoiceRequest {
        name: name.to_owned(),
        etag: etag.to_owned(),
    };
    served
        .client
        .clone()
        .delete_voice(request)
        .await
        .map(tonic::Response::into_inner)
}

async fn say(served: &Served, voice: &str) -> Result<pb::SynthesizeResponse, Status> {
    let config = pb::SynthesisConfig {
        voice: voice.to_owned(),
        ..Default::default()
    };
    served.synthesize(config, text("Once upon a time.")).await
}

#[tokio::test]
async fn voices_are_listed_page_by_page() {
    let served = served(config()).await;
    store(&served.voices, "narrator", &narrator("anonymous"));
    store(
        &served.voices,
        "somebody-elses",
        &narrator("spiffe://example.org/other"),
    );
    store(&served.voices, "damaged", "{");
    let list = async |request: pb::ListVoicesRequest| {
        let listed = served.client.clone().list_voices(request).await;
        listed.expect("listed").into_inner()
    };
    let mut names = Vec::new();
    let mut request = pb::ListVoicesRequest {
        page_size: 60,
        ..Default::default()
    };
    loop {
        let page = list(request.clone()).await;
        assert!(page.voices.len() <= 60);
        names.extend(page.voices.into_iter().map(|voice| voice.name));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert!(names.len() > 200 && names.is_sorted());
    assert!(names.iter().any(|name| name == "voices/narrator"));
    assert!(
        !names
            .iter()
            .any(|name| name == "voices/somebody-elses" || name == "voices/damaged")
    );
    let german = list(pb::ListVoicesRequest {
        language_code: "de".to_owned(),
        ..Default::default()
    })
    .await;
    assert!(!german.voices.is_empty());
    for voice in &german.voices {
        assert!(
            voice.language_codes.iter().any(|code| code.starts_with("de")),
            "{voice:?}"
        );
        assert_eq!(
            (voice.origin(), voice.owner.as_str()),
            (pb::VoiceOrigin::Model, "")
        );
        assert_eq!(
            (voice.model.as_str(), voice.natural_sample_rate_hertz),
            ("espeak-ng", 22_050)
        );
    }
    let none = list(pb::ListVoicesRequest {
        model: "another".to_owned(),
        ..Default::default()
    })
    .await;
    assert!(none.voices.is_empty());
    let status = served
        .client
        .clone()
        .list_voices(pb::ListVoicesRequest {
            page_size: 1_001,
            ..Default::default()
        })
        .await
        .expect_err("too many");
    assert_refused(&status, Code::InvalidArgument, "page_size");
}

#[tokio::test]
async fn a_stored_voice_speaks_in_its_manner_and_can_be_changed() {
    let served = served(config()).await;
    store(&served.voices, "narrator", &narrator("anonymous"));
    let voice = get(&served, "voices/narrator").await.expect("there");
    assert_eq!(
        (voice.display_name.as_str(), voice.owner.as_str()),
        ("The narrator", "anonymous")
    );
    assert_eq!(
        (voice.model.as_str(), voice.gender()),
        ("espeak-ng", pb::VoiceGender::Female)
    );
    assert!(voice.create_time.is_some() && !voice.etag.is_empty());

    let slow = say(&served, "voices/narrator").await.expect("speaks");
    let effective = slow.effective_config.clone().expect("told");
    assert_eq!(effective.voice, "voices/narrator");
    assert_eq!(
        effective.audio_config.and_then(|audio| audio.speaking_rate),
        Some(0.5)
    );
    let usual = say(&served, "voices/espeak-en-us-f").await.expect("speaks");
    let (slow, usual) = (heard(&slow.audio_content), heard(&usual.audio_content));
    let times = slow.duration().as_secs_f64() / usual.duration().as_secs_f64();
    assert!((1.6..2.4).contains(&times) && loudness(&slow) > 0.01, "{times}");

    // A change names the version that it means.
    let changed = pb::Voice {
        display_name: "The reader".to_owned(),
        consent: Some(consent()),
        allowed_tenants: vec!["spiffe://example.org/radio".to_owned()],
        expire_time: in_seconds(3_600),
        ..voice.clone()
    };
    let now = update(&served, changed.clone(), &[]).await.expect("changed");
    assert_eq!(now.display_name, "The reader");
    assert_eq!(
        (&now.consent, &now.expire_time),
        (&changed.consent, &changed.expire_time)
    );
    assert_eq!(now.allowed_tenants, changed.allowed_tenants);
    assert_ne!(now.etag, voice.etag);
    assert_ne!(now.update_time, voice.update_time);
    assert_eq!(get(&served, "voices/narrator").await.expect("there"), now);
    let outdated = update(&served, changed, &[]).await.expect_err("an older version");
    assert_status(&outdated, Code::Aborted, "VOICE_CHANGED");
    let outdated = delete(&served, "voices/narrator", &voice.etag)
        .await
        .expect_err("an older version");
    assert_status(&outdated, Code::Aborted, "VOICE_CHANGED");

    // A mask leaves the rest as it is.
    let title = pb::Voice {
        name: now.name.clone(),
        display_name: "Aloud".to_owned(),
        ..Default::default()
    };
    let titled = update(&served, title, &["display_name"]).await.expect("changed");
    assert_eq!(
        (titled.display_name.as_str(), &titled.consent),
        ("Aloud", &now.consent)
    );

    // What is stored for it goes with it.
    fs::write(served.voices.join("narrator/contract.pdf"), "…").expect("written");
    delete(&served, "voices/narrator", &titled.etag)
        .await
        .expect("deleted");
    assert!(!served.voices.join("narrator/contract.pdf").exists());
    assert!(!served.voices.join("narrator/voice.json").exists());
    let gone = get(&served, "voices/narrator").await.expect_err("gone");
    assert_eq!(gone.code(), Code::NotFound);
    let gone = say(&served, "voices/narrator").await.expect_err("gone");
    assert_eq!(gone.code(), Code::NotFound);
}

#[tokio::test]
async fn consent_can_be_withdrawn_and_voices_end() {
    let served = served(config()).await;
    store(&served.voices, "narrator", &narrator("anonymous"));
    let name = "voices/narrator".to_owned();
    let with = |consent| pb::Voice {
        name: name.clone(),
        consent,
        ..Default::default()
    };
    update(&served, with(Some(consent())), &["consent"])
        .await
        .expect("changed");
    say(&served, &name).await.expect("speaks");
    update(&served, with(None), &["consent"]).await.expect("changed");
    let refused = say(&served, &name).await.expect_err("no consent");
    assert_status(&refused, Code::FailedPrecondition, "CONSENT_WITHDRAWN");
    update(&served, with(Some(consent())), &["consent"])
        .await
        .expect("changed");
    say(&served, &name).await.expect("speaks again");

    // Its time is over: it cannot be used any more, and is deleted.
    let past = narrator("anonymous").replace(
        "\"owner\"",
        "\"expire_time\": \"2020-01-01T00:00:00Z\", \"owner\"",
    );
    store(&served.voices, "narrator", &past);
    for status in [
        say(&served, &name).await.expect_err("over"),
        get(&served, &name).await.expect_err("over"),
    ] {
        assert_status(&status, Code::FailedPrecondition, "VOICE_EXPIRED");
    }
    let voices = Voices::new(Storage::folder(&served.voices));
    store(&served.voices, "other", &narrator("anonymous"));
    assert_eq!(voices.sweep(SystemTime::now()).await.expect("swept"), 1);
    assert_eq!(voices.ids().await.expect("listed"), ["other"]);
    assert_eq!(
        get(&served, &name).await.expect_err("gone").code(),
        Code::NotFound
    );
}

#[tokio::test]
async fn what_a_voice_cannot_be_is_refused_by_field() {
    let served = served(config()).await;
    store(&served.voices, "narrator", &narrator("anonymous"));
    let voice = |change: fn(&mut pb::Voice)| {
        let mut voice = pb::Voice {
            name: "voices/narrator".to_owned(),
            ..Default::default()
        };
        change(&mut voice);
        voice
    };
    let cases: [(pb::Voice, &str); 6] = [
        (
            voice(|voice| voice.display_name = "a".repeat(101)),
            "voice.display_name",
        ),
        (
            voice(|voice| voice.allowed_tenants = vec![String::new()]),
            "voice.allowed_tenants",
        ),
        (
            voice(|voice| voice.expire_time = in_seconds(-1)),
            "voice.expire_time",
        ),
        (voice(|voice| voice.watermark = true), "voice.watermark"),
        (
            voice(|voice| {
                voice.consent = Some(types::Consent {
                    consent_time: in_seconds(1_000),
                    ..consent()
                });
            }),
            "voice.consent.consent_time",
        ),
        (
            voice(|voice| {
                voice.consent = Some(types::Consent {
                    statement: String::new(),
                    ..consent()
                });
            }),
            "voice.consent.statement",
        ),
    ];
    for (voice, field) in cases {
        let status = update(&served, voice, &[]).await.expect_err(field);
        assert_refused(&status, Code::InvalidArgument, field);
    }
    let mask = update(&served, voice(|_| {}), &["owner"])
        .await
        .expect_err("not to be changed");
    assert_refused(&mask, Code::InvalidArgument, "update_mask.paths[0]");
    let own = pb::Voice {
        name: "voices/espeak-de".to_owned(),
        ..Default::default()
    };
    let status = update(&served, own, &[]).await.expect_err("a model's own");
    assert_status(&status, Code::FailedPrecondition, "VOICE_OF_MODEL");
    let status = delete(&served, "voices/espeak-de", "")
        .await
        .expect_err("a model's own");
    assert_status(&status, Code::FailedPrecondition, "VOICE_OF_MODEL");
    for name in [
        "voices/nobody",
        "nobody",
        "",
        "voices/../../etc/passwd",
        "voices/a/b",
    ] {
        assert_eq!(
            get(&served, name).await.expect_err(name).code(),
            Code::NotFound,
            "{name}"
        );
    }
    // A record that leads nowhere says so.
    store(
        &served.voices,
        "lost",
        r#"{"voice":"voices/af_heart","owner":"anonymous"}"#,
    );
    let status = say(&served, "voices/lost").await.expect_err("no such model");
    assert_status(&status, Code::FailedPrecondition, "VOICE_WITHOUT_MODEL");
    store(&served.voices, "damaged", "{");
    let status = say(&served, "voices/damaged").await.expect_err("damaged");
    assert_status(&status, Code::FailedPrecondition, "VOICE_RECORD");
}

#[tokio::test]
async fn a_voice_is_not_made_and_the_request_for_it_checked() {
    let served = served(config()).await;
    let recording = |seconds: usize| {
        let pcm = Pcm::mono(vec![0.1; seconds * 16_000], SampleRate::SPEECH);
        let bytes = wav(&pcm, WavFormat::S16).expect("small");
        pb::VoiceSample {
            audio: Some(types::Media {
                source: Some(types::media::Source::Inline(bytes.into())),
            }),
            transcript: String::new(),
        }
    };
    let whole = pb::CreateVoiceRequest {
        voice: Some(pb::Voice {
            consent: Some(consent()),
            ..Default::default()
        }),
        voice_id: "jane".to_owned(),
        samples: vec![recording(4)],
        model: String::new(),
        request_id: "6f2c1f9e-0b6a-4a52-9c0e-0f3f7c2f9a11".to_owned(),
    };
    let create = async |request: pb::CreateVoiceRequest| {
        let made = served.client.clone().create_voice(request).await;
        made.expect_err("not made")
    };
    let status = create(whole.clone()).await;
    assert_status(&status, Code::Unimplemented, "CLONING_ENGINE_ABSENT");
    let named = create(pb::CreateVoiceRequest {
        model: "chatterbox".to_owned(),
        ..whole.clone()
    })
    .await;
    assert!(named.message().contains("chatterbox"), "{}", named.message());
    let status = create(pb::CreateVoiceRequest {
        voice: None,
        ..whole.clone()
    })
    .await;
    assert_status(&status, Code::FailedPrecondition, "CONSENT_MISSING");
    for (request, field) in [
        (
            pb::CreateVoiceRequest {
                voice_id: "Jane".to_owned(),
                ..whole.clone()
            },
            "voice_id",
        ),
        (
            pb::CreateVoiceRequest {
                request_id: "once".to_owned(),
                ..whole.clone()
            },
            "request_id",
        ),
        (
            pb::CreateVoiceRequest {
                samples: Vec::new(),
                ..whole.clone()
            },
            "samples",
        ),
        (
            pb::CreateVoiceRequest {
                samples: vec![recording(1), recording(1)],
                ..whole.clone()
            },
            "samples",
        ),
        (
            pb::CreateVoiceRequest {
                samples: vec![pb::VoiceSample {
                    audio: Some(types::Media {
                        source: Some(types::media::Source::Inline("not audio at all".into())),
                    }),
                    transcript: String::new(),
                }],
                ..whole.clone()
            },
            "samples[0].audio",
        ),
    ] {
        assert_refused(&create(request).await, Code::InvalidArgument, field);
    }
    assert!(!served.voices.exists(), "nothing is stored");
    let convert = served.client.clone().convert(pb::ConvertRequest::default()).await;
    assert_status(
        &convert.expect_err("no engine"),
        Code::Unimplemented,
        "CONVERSION_ENGINE_ABSENT",
    );
}
