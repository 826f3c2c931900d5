//! Where stored voices lie: a bucket, as well as a folder, and a store that does not answer.

use super::*;

fn bucket_of(endpoint: &str) -> Voices {
    let config = VoicesConfig {
        url: "s3://voices/tts/mesh".to_owned(),
        region: Some("eu-central-1".to_owned()),
        endpoint: Some(endpoint.to_owned()),
        access_key_id: Some("id".to_owned()),
        secret_access_key: Some("secret".to_owned().into()),
    };
    Voices::new(Storage::new(&config, |_| None).expect("a store"))
}

#[tokio::test]
async fn a_bucket_keeps_voices_as_a_folder_does() {
    let bucket = Bucket::start().await;
    let (one, other) = (bucket_of(&bucket.endpoint), bucket_of(&bucket.endpoint));
    assert!(one.ids().await.expect("listed").is_empty());
    assert!(one.get("narrator").await.expect("asked").is_none());
    bucket.put("tts/mesh/narrator/voice.json", &narrator("anonymous"));
    bucket.put("tts/mesh/narrator/contract.pdf", "…");
    bucket.put("tts/mesh/reader/voice.json", &narrator("anonymous"));
    bucket.put("tts/else/voice.json", "of somebody else");
    assert_eq!(one.ids().await.expect("listed"), ["narrator", "reader"]);

    // Two processes change the same version: one of them is told to look again.
    let stored = one.get("narrator").await.expect("asked").expect("there");
    let mut record = stored.record.clone();
    record.display_name = "The reader".to_owned();
    let changed = other.update(&stored, record.clone()).await.expect("changed");
    assert_eq!(changed.record.display_name, "The reader");
    assert_ne!(changed.etag, stored.etag);
    let late = one
        .update(&stored, record.clone())
        .await
        .expect_err("another version");
    assert_eq!(late.reason, "VOICE_CHANGED");
    // Also when the other comes between a look and a write: the bucket compares.
    let mut stale = changed.clone();
    stale.etag.clone_from(&changed.etag);
    bucket.put(
        "tts/mesh/narrator/voice.json",
        &String::from_utf8_lossy(&changed.record.to_bytes()),
    );
    let raced = one.update(&stale, record).await.expect_err("another version");
    assert_eq!(raced.reason, "VOICE_CHANGED");

    let stored = one.get("narrator").await.expect("asked").expect("there");
    one.delete(&stored).await.expect("deleted");
    assert_eq!(
        bucket.keys(),
        ["tts/else/voice.json", "tts/mesh/reader/voice.json"]
    );
    assert_eq!(one.sweep(SystemTime::now()).await.expect("swept"), 0);
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_unavailable_and_named() {
    let config = VoicesConfig {
        url: "s3://voices".to_owned(),
        ..VoicesConfig::default()
    };
    let refused = VoicesConfig {
        endpoint: Some("http://127.0.0.1:1".to_owned()),
        access_key_id: Some("id".to_owned()),
        secret_access_key: Some("secret".to_owned().into()),
        ..config.clone()
    };
    let voices = Voices::new(Storage::new(&refused, |_| None).expect("a store"));
    let asked = tokio::time::timeout(SOON, voices.get("narrator"))
        .await
        .expect("soon");
    let fault = polyphony_error::Fault::from(asked.expect_err("nobody listens"));
    assert_eq!(
        (fault.kind, fault.reason),
        (polyphony_error::Kind::Unavailable, "VOICE_STORE")
    );
    for (config, told) in [
        (
            VoicesConfig {
                url: "s3://".to_owned(),
                ..config.clone()
            },
            "must name a bucket",
        ),
        (
            VoicesConfig {
                url: "gs://voices".to_owned(),
                ..config.clone()
            },
            "must be \"s3://",
        ),
        (
            VoicesConfig {
                url: "/srv/voices".to_owned(),
                region: Some("a".to_owned()),
                ..config.clone()
            },
            "must be \"s3://",
        ),
        (
            VoicesConfig {
                access_key_id: Some("id".to_owned()),
                ..config
            },
            "secret_access_key",
        ),
    ] {
        let error = Storage::new(&config, |_| None).expect_err(told);
        assert!(error.to_string().contains(told), "{error}");
    }
}
