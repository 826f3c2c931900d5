//! Enrolled speakers: consent, recognition, versions, and the end.

use polyphony_proto::diar::v1 as pb;
use polyphony_proto::types::v1 as types;
use tonic::Code;
use tonic_types::StatusExt;

use super::support::{CONVERSATION, Served, assert_refused, recording, served, spoken};

const BIO: &str = "I was born in a small village by the sea, and I have lived there for most of my life.";

fn consented() -> pb::Speaker {
    pb::Speaker {
        display_name: "Ana".to_owned(),
        consent: Some(types::Consent {
            subject: "Ana".to_owned(),
            statement: "may be recognised in our meetings".to_owned(),
            ..types::Consent::default()
        }),
        ..pb::Speaker::default()
    }
}

async fn enrol(served: &mut Served, id: &str, voice: &str) -> pb::Speaker {
    let request = pb::CreateSpeakerRequest {
        speaker: Some(consented()),
        speaker_id: id.to_owned(),
        samples: recording(&spoken(voice, BIO)).into_iter().collect(),
        request_id: String::new(),
    };
    served
        .client
        .create_speaker(request)
        .await
        .expect("enrolled")
        .into_inner()
}

#[tokio::test]
async fn people_who_are_enrolled_are_named() {
    let mut served = served(&[]).await;
    let ana = enrol(&mut served, "ana", "en-us").await;
    assert_eq!(
        (ana.name.as_str(), ana.owner.as_str()),
        ("speakers/ana", "anonymous")
    );
    enrol(&mut served, "bea", "en-us+f3").await;

    let request = pb::IdentifySpeakersRequest {
        audio: recording(&spoken(
            "en-us",
            "Good evening, and welcome to the programme for tonight.",
        )),
        ..pb::IdentifySpeakersRequest::default()
    };
    let found = served
        .client
        .identify_speakers(request)
        .await
        .expect("answered")
        .into_inner();
    let first = found.matches.first().expect("somebody");
    assert_eq!(first.speaker, "speakers/ana", "{found:?}");
    assert!(first.similarity >= found.effective_threshold);

    let request = pb::DiarizeRequest {
        config: Some(pb::DiarizationConfig {
            identify_speakers: Some(true),
            num_speakers: Some(2),
            ..pb::DiarizationConfig::default()
        }),
        audio: recording(&CONVERSATION),
        output_formats: Vec::new(),
    };
    let response = served
        .client
        .diarize(request)
        .await
        .expect("answered")
        .into_inner();
    let names: Vec<_> = response
        .speakers
        .iter()
        .map(|speaker| speaker.speaker.as_str())
        .collect();
    assert_eq!(names, ["speakers/ana", "speakers/bea"], "{response:?}");
}

#[tokio::test]
async fn nobody_is_enrolled_without_consent_or_from_too_little_or_from_two() {
    let mut served = served(&[]).await;
    let request = |speaker, samples: &[f32]| pb::CreateSpeakerRequest {
        speaker: Some(speaker),
        speaker_id: "ana".to_owned(),
        samples: recording(samples).into_iter().collect(),
        request_id: String::new(),
    };
    let without = pb::Speaker {
        consent: None,
        ..consented()
    };
    let speech = spoken("en-us", BIO);
    let status = served
        .client
        .create_speaker(request(without, &speech))
        .await
        .expect_err("no consent");
    assert_refused(&status, Code::FailedPrecondition, "speaker.consent");

    let short = &speech[..speech.len() / 3];
    let status = served
        .client
        .create_speaker(request(consented(), short))
        .await
        .expect_err("too little");
    assert_refused(&status, Code::InvalidArgument, "samples");

    let status = served
        .client
        .create_speaker(request(consented(), &CONVERSATION))
        .await
        .expect_err("two people");
    assert_refused(&status, Code::InvalidArgument, "samples[0]");
    let reason = status
        .get_error_details()
        .error_info()
        .map(|info| info.reason.clone());
    assert_eq!(reason.as_deref(), Some("SEVERAL_SPEAKERS"));
    let listed = served
        .client
        .list_speakers(pb::ListSpeakersRequest::default())
        .await;
    assert!(
        listed.expect("listed").into_inner().speakers.is_empty(),
        "nothing is left half done"
    );
}

#[tokio::test]
async fn a_speaker_is_listed_changed_by_version_and_deleted() {
    let mut served = served(&[]).await;
    let made = enrol(&mut served, "ana", "en-us").await;
    enrol(&mut served, "bo", "en-us").await;
    let page = pb::ListSpeakersRequest {
        page_size: 1,
        page_token: String::new(),
    };
    let first = served
        .client
        .list_speakers(page)
        .await
        .expect("listed")
        .into_inner();
    assert_eq!(
        first.speakers.first().map(|speaker| speaker.name.as_str()),
        Some("speakers/ana")
    );
    let rest = pb::ListSpeakersRequest {
        page_size: 5,
        page_token: first.next_page_token,
    };
    let rest = served
        .client
        .list_speakers(rest)
        .await
        .expect("listed")
        .into_inner();
    assert_eq!(rest.speakers.len(), 1);
    assert!(rest.next_page_token.is_empty());

    let changed = pb::UpdateSpeakerRequest {
        speaker: Some(pb::Speaker {
            display_name: "Anna".to_owned(),
            ..made.clone()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["display_name".to_owned()],
        }),
    };
    let updated = served
        .client
        .update_speaker(changed.clone())
        .await
        .expect("updated")
        .into_inner();
    assert_eq!(updated.display_name, "Anna");
    assert_eq!(updated.consent, made.consent);
    let outdated = served
        .client
        .update_speaker(changed)
        .await
        .expect_err("an old version");
    assert_eq!(outdated.code(), Code::Aborted);

    let delete = pb::DeleteSpeakerRequest {
        name: made.name.clone(),
        etag: updated.etag,
    };
    served.client.delete_speaker(delete).await.expect("deleted");
    let gone = pb::GetSpeakerRequest { name: made.name };
    let status = served.client.get_speaker(gone).await.expect_err("gone");
    assert_eq!(status.code(), Code::NotFound);
}
