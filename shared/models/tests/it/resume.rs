//! A pull that is cut off goes on where it was, and never twice over what is there.

use std::fs;
use std::time::Duration;

use polyphony_models::{Error, Progress, PullOptions, Stage};
use tokio::sync::watch;

use crate::hub::{COMMIT, Fault, StandIn};
use crate::world::{GRAPH, LARGE, WEIGHTS, World, files, model, stand_in};

fn sizes() -> u64 {
    files().iter().map(|(_, content)| content.len() as u64).sum()
}

fn ranges(hub: &StandIn) -> Vec<Option<String>> {
    let of_weights = |path: &str| path.contains("onnx_data");
    hub.downloads()
        .into_iter()
        .filter(|asked| of_weights(&asked.path))
        .map(|asked| asked.range)
        .collect()
}

#[tokio::test]
async fn a_cut_connection_is_taken_up_where_it_was_cut() {
    let hub = stand_in().await;
    hub.fault(WEIGHTS, &[Fault::Cut(LARGE / 3), Fault::Cut(1000), Fault::None]);
    let world = World::new(&[&hub]);
    let progress = watch::Sender::new(Progress::default());
    let mut watching = progress.subscribe();
    let retried = tokio::spawn(async move {
        watching
            .wait_for(|progress| matches!(progress.stage, Stage::Retrying { .. }))
            .await
            .is_ok()
    });
    world
        .puller()
        .pull(&model(), &PullOptions::default(), &progress)
        .await
        .expect("pulled");
    assert!(
        retried.await.expect("no panic"),
        "the progress tells of the retry"
    );
    let (third, more) = (LARGE / 3, LARGE / 3 + 1000);
    assert_eq!(
        ranges(&hub),
        [
            None,
            Some(format!("bytes={third}-")),
            Some(format!("bytes={more}-"))
        ]
    );
    assert_eq!(hub.state().sent, sizes(), "no byte was sent twice");
}

#[tokio::test]
async fn a_pull_that_was_stopped_is_resumed_by_the_next() {
    let hub = stand_in().await;
    hub.fault(WEIGHTS, &[Fault::Stall(LARGE / 2), Fault::None]);
    let world = World::new(&[&hub]);
    let progress = watch::Sender::new(Progress::default());
    let mut watching = progress.subscribe();
    let puller = world.puller();
    let (model_, options) = (model(), PullOptions::default());
    tokio::select! {
        _ = puller.pull(&model_, &options, &progress) => panic!("the hub stalls"),
        reached = watching.wait_for(|progress| progress.done() > LARGE as u64 / 2) => drop(reached.expect("a pull")),
    }
    assert!(
        matches!(world.store().find(&model()), Err(Error::NotInstalled { .. })),
        "half a model is none"
    );
    world.pull().await.expect("pulled");
    let ranges = ranges(&hub);
    let resumed = ranges[1].as_deref().expect("a range");
    let start: u64 = resumed
        .trim_start_matches("bytes=")
        .trim_end_matches('-')
        .parse()
        .expect("a number");
    assert!(start > 0 && start <= LARGE as u64 / 2, "{ranges:?}");
    // What had arrived but was not yet with the system when the pull was stopped comes again.
    assert!(
        hub.state().sent <= sizes() + 256 * 1024,
        "{} of {}",
        hub.state().sent,
        sizes()
    );
}

#[tokio::test]
async fn a_hub_that_stalls_is_left_and_asked_again() {
    let hub = stand_in().await;
    hub.fault(WEIGHTS, &[Fault::Stall(LARGE / 2), Fault::None]);
    let world = World::new(&[&hub]);
    world.pull().await.expect("pulled");
    assert_eq!(ranges(&hub), [None, Some(format!("bytes={}-", LARGE / 2))]);
}

#[tokio::test]
async fn a_server_without_ranges_starts_over() {
    let hub = stand_in().await;
    hub.fault(WEIGHTS, &[Fault::Cut(LARGE / 2), Fault::NoRanges]);
    let world = World::new(&[&hub]);
    world.pull().await.expect("pulled");
    assert_eq!(ranges(&hub), [None, Some(format!("bytes={}-", LARGE / 2))]);
}

#[tokio::test]
async fn what_another_hub_began_is_finished_by_the_mirror() {
    let (hub, mirror) = (stand_in().await, stand_in().await);
    hub.fault(WEIGHTS, &[Fault::Cut(LARGE / 2), Fault::Cut(0)]);
    let world = World::new(&[&hub, &mirror]);
    world.pull().await.expect("pulled");
    assert_eq!(ranges(&mirror), [Some(format!("bytes={}-", LARGE / 2))]);
}

#[tokio::test]
async fn a_process_that_died_before_the_rename_loses_nothing() {
    let hub = stand_in().await;
    let world = World::new(&[&hub]);
    let installed = world.pull().await.expect("pulled");
    let downloads = hub.downloads().len();
    // As if it had died: all bytes there, one file without its name, the folder not in its place.
    let staging = world.dir.path().join("staging/acme--tiny/fp32").join(COMMIT);
    fs::create_dir_all(staging.parent().expect("a folder")).expect("a folder");
    fs::rename(&installed.dir, &staging).expect("moved");
    fs::rename(staging.join(GRAPH), staging.join(format!("{GRAPH}.partial"))).expect("renamed");
    fs::remove_file(staging.join("model.json")).expect("removed");
    assert!(matches!(
        world.store().find(&model()),
        Err(Error::NotInstalled { .. })
    ));
    let again = world.pull().await.expect("finished");
    assert_eq!(again.digest, installed.digest);
    assert_eq!(hub.downloads().len(), downloads, "not one byte came again");
    assert!(world.staged().is_empty());
}

#[tokio::test]
async fn leftovers_that_are_wrong_are_replaced() {
    let hub = stand_in().await;
    let world = World::new(&[&hub]);
    let staging = world.dir.path().join("staging/acme--tiny/fp32").join(COMMIT);
    fs::create_dir_all(staging.join("onnx")).expect("a folder");
    fs::write(staging.join(format!("{WEIGHTS}.partial")), vec![0; LARGE + 1]).expect("written");
    fs::write(staging.join(GRAPH), b"too short, and wrong").expect("written");
    let elsewhere = world
        .dir
        .path()
        .join("staging/acme--tiny/fp32")
        .join("f".repeat(40));
    fs::create_dir_all(&elsewhere).expect("a folder");
    // The wrong beginning of the graph spoils it; it is thrown away, and the next pull is whole.
    let error = world.refused().await;
    assert!(matches!(error, Error::WrongBytes { .. }), "{error}");
    world.pull().await.expect("pulled");
    assert!(!elsewhere.exists(), "what other commits left is gone");
}

#[tokio::test]
async fn endless_cuts_come_to_an_end() {
    let hub = stand_in().await;
    hub.fault(WEIGHTS, &[Fault::Cut(0)]);
    let world = World::new(&[&hub]);
    let error = tokio::time::timeout(Duration::from_secs(15), world.refused())
        .await
        .expect("an end");
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert_eq!(ranges(&hub).len(), 5);
}
