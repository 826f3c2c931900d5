//! What a pull refuses, how soon, and that nothing of it stays.

use std::time::{Duration, Instant};

use polyphony_error::{Fault as Edge, Kind};
use polyphony_models::{Error, ModelsConfig, Puller, Store};

use crate::hub::{COMMIT, Fault};
use crate::world::{CONFIG, GRAPH, LARGE, WEIGHTS, World, below, graph, stand_in};

/// Nothing is left of a file: neither by its name nor as a part.
fn assert_nothing_of(world: &World, file: &str) {
    let left = world.staged();
    assert!(
        !left.iter().any(|path| path.to_string_lossy().contains(file)),
        "{left:?}"
    );
}

#[tokio::test]
async fn other_lengths_than_announced_are_refused_and_deleted() {
    for fault in [
        Fault::Body(vec![1; LARGE + 1]),
        Fault::Body(vec![1; LARGE - 1]),
        Fault::Body(Vec::new()),
        Fault::Chunked(vec![1; LARGE + 1]),
        Fault::Chunked(vec![1; LARGE - 1]),
    ] {
        let hub = stand_in().await;
        hub.fault(WEIGHTS, &[fault]);
        let world = World::new(&[&hub]);
        let error = world.refused().await;
        assert!(
            matches!(error, Error::WrongSize { expected, .. } if expected == LARGE as u64),
            "{error}"
        );
        assert_nothing_of(&world, "onnx_data");
        hub.fault(WEIGHTS, &[Fault::None]);
        world.pull().await.expect("the next one is whole");
    }
}

#[tokio::test]
async fn other_bytes_than_announced_are_refused_and_deleted() {
    let small = br#"{"model_type": "Whisper"}"#.to_vec();
    for (file, other) in [(WEIGHTS, vec![1; LARGE]), (CONFIG, small)] {
        let hub = stand_in().await;
        hub.fault(file, &[Fault::Body(other)]);
        let world = World::new(&[&hub]);
        let error = world.refused().await;
        assert!(
            matches!(&error, Error::WrongBytes { file: wrong, .. } if wrong.as_str() == file),
            "{error}"
        );
        assert_nothing_of(&world, file);
        assert_eq!(Edge::from(error).kind, Kind::Aborted);
        hub.fault(file, &[Fault::None]);
        world.pull().await.expect("the next one is whole");
    }
}

#[tokio::test]
async fn a_hub_that_announces_other_bytes_than_are_pinned_sends_none() {
    let hub = stand_in().await;
    let world = World::new(&[&hub]);
    for pin in [
        format!(", sha256 = \"{}\"", "0".repeat(64)),
        ", bytes = 1".to_owned(),
    ] {
        world.catalogue(&pin);
        let error = world.refused().await;
        assert!(matches!(error, Error::NotAsPinned { .. }), "{error}");
    }
    assert!(hub.downloads().is_empty());
}

#[tokio::test]
async fn what_the_hub_does_not_have_is_named() {
    let hub = stand_in().await;
    hub.state().files.remove(&(COMMIT.to_owned(), CONFIG.to_owned()));
    let world = World::new(&[&hub]);
    let error = world.refused().await;
    assert!(
        error
            .to_string()
            .ends_with("has no file config.json in acme/tiny at main"),
        "{error}"
    );
    hub.state().main = "f".repeat(40);
    let error = world.refused().await;
    assert!(
        error.to_string().ends_with("has no revision main of acme/tiny"),
        "{error}"
    );
    assert_eq!(Edge::from(error).kind, Kind::NotFound);
}

#[tokio::test]
async fn a_gated_model_says_what_to_do() {
    let hub = stand_in().await;
    hub.state().token = Some("hf_right".to_owned());
    let world = World::new(&[&hub]);
    let error = world.refused().await;
    let said = error.to_string();
    assert!(
        said.contains("its licence must be accepted at") && said.contains("acme/tiny"),
        "{said}"
    );
    assert!(said.contains("set models.hub_token_file"), "{said}");
    assert_eq!(Edge::from(error).kind, Kind::PermissionDenied);
    let world = world.token("hf_wrong");
    let said = world.refused().await.to_string();
    assert!(
        said.contains("the token of models.hub_token does not open it"),
        "{said}"
    );
    assert!(!said.contains("hf_wrong"), "{said}");
    world.token("hf_right").pull().await.expect("pulled");
}

#[tokio::test]
async fn a_hub_that_hangs_is_given_up_in_time() {
    let hub = stand_in().await;
    hub.fault(CONFIG, &[Fault::Hang]);
    let world = World::new(&[&hub]);
    let begun = Instant::now();
    let error = world.refused().await;
    assert!(
        matches!(&error, Error::Unreachable { problem, .. } if problem.contains("no answer within 1s")),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(Edge::from(error).kind, Kind::Unavailable);
}

#[tokio::test]
async fn a_hub_that_is_not_there_is_said_at_once() {
    let hub = stand_in().await;
    let world = World::new(&[&hub]);
    let url = hub.url();
    drop(hub);
    let begun = Instant::now();
    let error = world.refused().await;
    assert!(
        matches!(&error, Error::Unreachable { endpoint, .. } if *endpoint == url),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn offline_means_that_nothing_is_asked() {
    let hub = stand_in().await;
    let mut world = World::new(&[&hub]);
    world.config.offline = true;
    let error = world.refused().await;
    assert!(matches!(error, Error::Offline(_)), "{error}");
    assert!(hub.state().asked.is_empty());
    world.config.offline = false;
    let installed = world.pull().await.expect("pulled");
    world.config.offline = true;
    assert_eq!(world.pull().await.expect("it is here").digest, installed.digest);
}

#[tokio::test]
async fn a_disk_without_room_is_noticed_before_the_first_byte() {
    let hub = stand_in().await;
    hub.fault(
        WEIGHTS,
        &[Fault::Header("X-Linked-Size", (1_u64 << 60).to_string())],
    );
    let world = World::new(&[&hub]);
    let error = world.refused().await;
    assert!(
        matches!(error, Error::NoSpace { need, .. } if need > 1 << 60),
        "{error}"
    );
    assert!(hub.downloads().is_empty());
}

#[tokio::test]
async fn a_hostile_hub_cannot_choose_where_files_go() {
    let hub = stand_in().await;
    let world = World::new(&[&hub]);
    for commit in ["../../../../tmp/x", "main", "/etc", "0123", ""] {
        hub.fault(CONFIG, &[Fault::Header("X-Repo-Commit", commit.to_owned())]);
        let error = world.refused().await;
        assert!(
            matches!(error, Error::Name { .. } | Error::Hub { .. }),
            "{commit:?}: {error}"
        );
    }
    let later = "f".repeat(40);
    hub.fault(GRAPH, &[Fault::Header("X-Repo-Commit", later)]);
    hub.fault(CONFIG, &[Fault::None]);
    let error = world.refused().await;
    assert!(
        matches!(error, Error::Hub { .. }),
        "two files of two commits: {error}"
    );
    assert!(hub.downloads().is_empty() && world.staged().is_empty());
}

#[tokio::test]
async fn a_hostile_hub_cannot_send_us_elsewhere() {
    let hub = stand_in().await;
    let world = World::new(&[&hub]);
    for location in [
        "http://192.0.2.1/x",
        "file:///etc/passwd",
        "ftp://192.0.2.1/x",
        "//192.0.2.1/x",
    ] {
        hub.fault(CONFIG, &[Fault::Header("Location", location.to_owned())]);
        let error = world.refused().await;
        assert!(
            matches!(&error, Error::Hub { problem, .. } if problem.contains("is not followed")),
            "{error}"
        );
    }
    hub.fault(
        CONFIG,
        &[Fault::Header(
            "Location",
            format!("/acme/tiny/resolve/main/{CONFIG}"),
        )],
    );
    let error = world.refused().await;
    assert!(error.to_string().contains("more than 5 redirects"), "{error}");
}

#[tokio::test]
async fn bytes_that_cannot_be_verified_are_not_fetched() {
    let hub = stand_in().await;
    hub.fault(
        WEIGHTS,
        &[Fault::Header(
            "X-Linked-ETag",
            "\"d41d8cd98f00b204e9800998ecf8427e-12\"".to_owned(),
        )],
    );
    let world = World::new(&[&hub]);
    let error = world.refused().await;
    assert!(error.to_string().contains("it cannot be verified"), "{error}");
    assert!(hub.downloads().is_empty());
}

#[tokio::test]
async fn a_graph_that_reaches_out_of_the_model_is_never_placed() {
    for location in ["../../../../../etc/passwd", "/etc/passwd", "missing.bin"] {
        let hub = stand_in().await;
        hub.put(COMMIT, GRAPH, &graph(location));
        let world = World::new(&[&hub]);
        let error = world.refused().await;
        assert!(
            matches!(&error, Error::Corrupt { problem, .. } if problem.contains(location)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_unknown_or_unavailable_model_is_refused_without_a_question() {
    let hub = stand_in().await;
    let world = World::new(&[&hub]);
    let pull = async |name: &str| {
        let model = name.parse().expect("a name");
        let progress = tokio::sync::watch::Sender::default();
        world
            .puller()
            .pull(&model, &Default::default(), &progress)
            .await
            .expect_err("refused")
    };
    assert!(matches!(pull("acme/huge").await, Error::Unknown(_)));
    assert!(matches!(pull("acme/tiny@int4").await, Error::Unknown(_)));
    let error = pull("waver-1.0").await;
    assert!(
        error.to_string().contains("weights and code unreleased"),
        "{error}"
    );
    assert_eq!(Edge::from(error).kind, Kind::FailedPrecondition);
    let error = pull("silero-vad").await;
    assert!(error.to_string().contains("pip install"), "{error}");
    assert!(hub.state().asked.is_empty());
    assert!(below(&world.dir.path().join("installed")).is_empty());
}

#[test]
fn an_address_that_would_leak_is_refused_at_the_start() {
    let world = tempfile::tempdir().expect("a folder");
    for url in [
        "http://hub.example.com",
        "https://user:pass@hub.example.com",
        "hub.example.com",
    ] {
        let config = ModelsConfig {
            dir: Some(world.path().to_owned()),
            hub_endpoints: vec![url.to_owned()],
            ..ModelsConfig::default()
        };
        let store = Store::open(&config, |_| None).expect("a store");
        let error = Puller::new(store, &config).expect_err("refused");
        assert!(error.to_string().starts_with("models.hub_endpoints: "), "{error}");
    }
}
