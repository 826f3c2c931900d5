//! What a pull brings, and what stays.

use std::fs;

use polyphony_models::{Error, Installed, Presence, Progress, PullOptions, Stage};
use tokio::sync::watch;

use crate::hub::{COMMIT, Fault, LATER};
use crate::world::{CONFIG, GRAPH, LARGE, WEIGHTS, World, below, files, model, stand_in};

#[tokio::test]
async fn a_pull_brings_the_model_whole_and_tells_of_it() {
    let hub = stand_in().await;
    let world = World::new(&[&hub]);
    let progress = watch::Sender::new(Progress::default());
    let mut watching = progress.subscribe();
    let watcher = tokio::spawn(async move {
        let mut seen = vec![watching.borrow_and_update().clone()];
        while watching.changed().await.is_ok() {
            seen.push(watching.borrow_and_update().clone());
        }
        seen
    });
    let installed = world
        .puller()
        .pull(&model(), &PullOptions::default(), &progress)
        .await
        .expect("pulled");
    drop(progress);

    assert_eq!(installed.model.to_string(), "acme/tiny@fp32");
    assert_eq!(
        installed.revision.as_ref().map(|commit| commit.as_str()),
        Some(COMMIT)
    );
    assert!(
        installed
            .dir
            .ends_with(format!("installed/acme--tiny/fp32/{COMMIT}"))
    );
    for (path, content) in files() {
        let on_disk = installed.path(path).expect("a file of the model");
        assert_eq!(fs::read(on_disk).expect("read"), content, "{path}");
    }
    assert_eq!(
        installed.path("onnx/decoder.onnx"),
        None,
        "optional, and the hub has none"
    );

    let seen = watcher.await.expect("no panic");
    let last = seen.last().expect("something");
    assert_eq!(
        (&last.stage, last.done(), last.total()),
        (&Stage::Done, installed.bytes, installed.bytes)
    );
    assert!(
        seen.windows(2).all(|pair| pair[0].done() <= pair[1].done()),
        "bytes never go back"
    );
    let partway =
        |p: &Progress| p.stage == Stage::Downloading && p.total() == installed.bytes && p.done() < p.total();
    assert!(seen.iter().any(partway));

    // From here on no hub is needed.
    drop(hub);
    let store = world.store();
    assert_eq!(store.find(&model()).expect("found"), installed);
    assert_eq!(store.verify(&model()).expect("verified").digest, installed.digest);
    assert_eq!(
        world.pull().await.expect("nothing to do").digest,
        installed.digest
    );
    let list = store.list().expect("a list");
    let line = list
        .iter()
        .find(|line| line.model == installed.model)
        .expect("listed");
    let Presence::OnDisk { digest, bytes, .. } = &line.presence else {
        panic!("{line:?}")
    };
    assert_eq!((digest, *bytes), (&Some(installed.digest), installed.bytes));
    assert!(world.staged().is_empty());
    store.remove(&model()).expect("removed");
    assert!(below(&world.dir.path().join("installed")).is_empty());
    assert!(matches!(store.find(&model()), Err(Error::NotInstalled { .. })));
}

#[tokio::test]
async fn the_token_goes_to_the_hub_and_nowhere_else() {
    let (hub, mirror) = (stand_in().await, stand_in().await);
    hub.state().token = Some("hf_secret".to_owned());
    hub.fault(WEIGHTS, &[Fault::Status("503 Service Unavailable")]);
    let world = World::new(&[&hub, &mirror]).token("hf_secret");
    world.pull().await.expect("pulled from the mirror in the end");
    let asked = hub.state().asked.clone();
    assert!(
        asked.iter().all(|asked| asked.token.is_some() != asked.cdn),
        "{asked:?}"
    );
    assert!(mirror.state().asked.iter().all(|asked| asked.token.is_none()));
    assert!(!mirror.downloads().is_empty());
}

#[tokio::test]
async fn a_hub_that_is_overloaded_is_asked_again() {
    let hub = stand_in().await;
    let busy = || Fault::Status("503 Service Unavailable");
    hub.fault(
        CONFIG,
        &[busy(), Fault::Status("429 Too Many Requests"), Fault::None],
    );
    let world = World::new(&[&hub]);
    world.pull().await.expect("pulled");
}

#[tokio::test]
async fn a_mirror_serves_when_the_first_hub_does_not() {
    let (gone, mirror) = (stand_in().await, stand_in().await);
    let world = World::new(&[&gone, &mirror]);
    drop(gone);
    world.pull().await.expect("pulled from the mirror");
}

#[tokio::test]
async fn later_pulls_get_what_the_first_one_got() {
    let hub = stand_in().await;
    let world = World::new(&[&hub]);
    let first = world.pull().await.expect("pulled");
    for (path, content) in files() {
        hub.put(LATER, path, &content);
    }
    hub.put(LATER, CONFIG, b"{\"model_type\": \"moonshine\"}");
    hub.state().main = LATER.to_owned();
    world.store().remove(&model()).expect("removed");
    let again = world.pull().await.expect("pulled");
    assert_eq!((again.digest, &again.revision), (first.digest, &first.revision));

    let main = PullOptions {
        revision: Some("main".parse().expect("a revision")),
    };
    let moved = world.pull_with(&main).await.expect("pulled");
    assert_eq!(moved.revision.as_ref().map(|commit| commit.as_str()), Some(LATER));
    assert_ne!(moved.digest, first.digest);
    assert!(!first.dir.exists(), "one revision is kept");
    assert_eq!(world.store().find(&model()).expect("found").digest, moved.digest);

    // The hub now says that the commit has other bytes: a commit cannot, so somebody lies.
    world.store().remove(&model()).expect("removed");
    hub.put(LATER, WEIGHTS, &vec![7; LARGE]);
    let error = world.refused().await;
    assert!(matches!(error, Error::NotAsPinned { .. }), "{error}");
}

#[tokio::test]
async fn two_who_pull_the_same_model_take_turns() {
    let hub = stand_in().await;
    let world = World::new(&[&hub]);
    let pull = || {
        let puller = world.puller();
        tokio::spawn(async move {
            puller
                .pull(&model(), &PullOptions::default(), &watch::Sender::default())
                .await
        })
    };
    let (one, other) = tokio::join!(pull(), pull());
    let digest =
        |pulled: Result<Result<Installed, Error>, _>| pulled.expect("no panic").expect("pulled").digest;
    assert_eq!(digest(one), digest(other));
    assert_eq!(hub.downloads().len(), 3, "each file once");
}

#[tokio::test]
async fn one_flipped_byte_in_any_file_is_noticed_and_mended() {
    let hub = stand_in().await;
    let world = World::new(&[&hub]);
    let installed = world.pull().await.expect("pulled");
    let store = world.store();
    for file in &installed.files {
        let path = installed.path(file.path.as_str()).expect("a file of the model");
        let mut content = fs::read(&path).expect("read");
        let middle = content.len() / 2;
        content[middle] ^= 1;
        fs::write(&path, &content).expect("written");
        for refusal in [store.find(&model()), store.verify(&model())] {
            let error = refusal.expect_err("refused");
            assert!(
                matches!(&error, Error::Corrupt { path: found, .. } if *found == path),
                "{error}"
            );
        }
        assert_eq!(world.pull().await.expect("mended").digest, installed.digest);
    }
    let manifest = installed.dir.join("model.json");
    for broken in ["", "{}", "not json"] {
        fs::write(&manifest, broken).expect("written");
        assert!(
            matches!(store.find(&model()), Err(Error::Corrupt { .. })),
            "{broken:?}"
        );
    }
    assert_eq!(world.pull().await.expect("mended").digest, installed.digest);
    fs::remove_file(installed.path(GRAPH).expect("a file of the model")).expect("removed");
    assert!(matches!(store.find(&model()), Err(Error::Corrupt { .. })));
}

#[tokio::test]
async fn a_catalogue_that_pins_is_believed_above_the_manifest() {
    let hub = stand_in().await;
    let world = World::new(&[&hub]);
    world.pull().await.expect("pulled");
    world.catalogue(&format!(", sha256 = \"{}\"", "0".repeat(64)));
    let error = world.store().find(&model()).expect_err("refused");
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    let error = world.pull().await.expect_err("the hub has other bytes");
    assert!(matches!(error, Error::NotAsPinned { .. }), "{error}");
}
