//! Workers that die, hang, talk nonsense or do not listen; and what is told of it.

use std::path::Path;
use std::time::{Duration, Instant};

use polyphony_proto::types::v1::JobState;
use polyphony_proto::video::v1 as pb;
use polyphony_testing::{eventually, eventually_some};
use polyphony_video_gen::Engine;
use tonic::Code;

use super::stand_in;
use super::support::{PATIENCE, reason, request, serve, serve_in, settings, spec};

#[tokio::test]
async fn a_worker_that_dies_is_started_anew_and_its_video_made() {
    let mut served = serve(&[]).await;
    let begun = served.generate("die-once please").await;
    let done = served.ended(&begun.name).await;
    assert_eq!((done.state(), done.attempts), (JobState::Succeeded, 2));
    assert_eq!(served.notes().iter().filter(|note| *note == "started").count(), 2);
}

#[tokio::test]
async fn a_poisoned_video_is_dead_after_three_attempts_and_harms_no_other() {
    let mut served = serve(&[]).await;
    let poisoned = served.generate("poison").await;
    let healthy = served.generate("a cat").await;
    let dead = served.ended(&poisoned.name).await;
    assert_eq!((dead.state(), dead.attempts), (JobState::Failed, 3));
    let error = dead.error.expect("a cause");
    assert_eq!(error.code, i32::from(Code::Internal));
    assert!(
        error.message.contains("3 times") && error.message.contains("a stand-in's last words"),
        "{}",
        error.message
    );
    assert_eq!(served.ended(&healthy.name).await.state(), JobState::Succeeded);
}

#[tokio::test]
async fn a_worker_that_hangs_or_talks_nonsense_is_killed() {
    let mut served = serve(&["video-gen.worker_silence=1s"]).await;
    for (prompt, cause) in [("hang", "said nothing for 1s"), ("garbage", "no event")] {
        let begun = served.generate(prompt).await;
        let dead = served.ended(&begun.name).await;
        assert_eq!((dead.state(), dead.attempts), (JobState::Failed, 3));
        let message = dead.error.expect("a cause").message;
        assert!(message.contains(cause), "{message}");
    }
}

#[tokio::test]
async fn what_the_worker_says_is_told_and_not_tried_again() {
    let mut served = serve(&[]).await;
    let begun = served.generate("fail").await;
    let failed = served.ended(&begun.name).await;
    assert_eq!((failed.state(), failed.attempts), (JobState::Failed, 1));
    let error = failed.error.expect("a cause");
    assert_eq!(error.code, i32::from(Code::ResourceExhausted));
    assert!(error.message.contains("not enough memory"));
    let begun = served.generate("lie").await;
    let failed = served.ended(&begun.name).await;
    assert_eq!(failed.error.expect("a cause").code, i32::from(Code::Internal));
}

#[tokio::test]
async fn cancelling_returns_when_the_device_is_free_which_is_within_a_step() {
    let mut served = serve(&[]).await;
    let running = served.generate("slow one").await;
    let waiting = served.generate("two").await;
    served.until(&running.name, JobState::Running).await;
    let gone = served.cancel(&waiting.name).await.expect("waits");
    assert_eq!(gone.video.expect("a video").state(), JobState::Cancelled);
    let begun = Instant::now();
    let gone = served.cancel(&running.name).await.expect("runs");
    let took = begun.elapsed();
    assert_eq!(
        served.notes().last().map(String::as_str),
        Some("cancelled"),
        "the device is free"
    );
    assert_eq!(gone.video.expect("a video").state(), JobState::Cancelled);
    // A step takes 100 ms.
    assert!(took < Duration::from_secs(1), "{took:?}");
    let again = served
        .cancel(&running.name)
        .await
        .expect("a second call does nothing");
    assert_eq!(again.video.expect("a video").state(), JobState::Cancelled);
    let done = served.generate("three").await;
    served.ended(&done.name).await;
    let refused = served.cancel(&done.name).await.expect_err("done");
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "VIDEO_OVER")
    );
}

#[tokio::test]
async fn a_worker_that_does_not_let_go_is_killed() {
    let mut served = serve(&[]).await;
    let running = served.generate("slow deaf").await;
    let long = pb::GenerateVideoRequest {
        spec: Some(pb::VideoSpec {
            num_inference_steps: Some(200),
            ..spec("slow deaf")
        }),
        ..pb::GenerateVideoRequest::default()
    };
    served.ended(&running.name).await;
    let deaf = served.begin(long).await.expect("begins");
    served.until(&deaf.name, JobState::Running).await;
    let gone = served.cancel(&deaf.name).await.expect("runs");
    assert_eq!(gone.video.expect("a video").state(), JobState::Cancelled);
    let next = served.generate("a cat").await;
    assert_eq!(served.ended(&next.name).await.state(), JobState::Succeeded);
    assert_eq!(served.notes().iter().filter(|note| *note == "started").count(), 2);
}

#[tokio::test]
async fn a_deadline_ends_what_waits_and_what_runs() {
    let mut served = serve(&["jobs.lease=1s"]).await;
    let within = |millis: i32, prompt: &str| pb::GenerateVideoRequest {
        deadline_duration: Some(prost_types::Duration {
            seconds: i64::from(millis / 1000),
            nanos: millis % 1000 * 1_000_000,
        }),
        ..request(prompt)
    };
    let mut long = within(2_000, "slow one");
    long.spec.as_mut().expect("a spec").num_inference_steps = Some(200);
    let running = served.begin(long).await.expect("begins");
    served.until(&running.name, JobState::Running).await;
    // Its deadline passes while the other still runs.
    let waiting = served.begin(within(100, "two")).await.expect("begins");
    for video in [running, waiting] {
        let late = served.ended(&video.name).await;
        assert_eq!(late.state(), JobState::Failed);
        assert_eq!(
            late.error.expect("a cause").code,
            i32::from(Code::DeadlineExceeded)
        );
    }
    assert!(served.notes().contains(&"cancelled".to_owned()));
    assert!(!served.notes().contains(&"generate two".to_owned()));
}

/// The engine alone, without a server.
async fn opened(folder: &Path, worker: &Path) -> Engine {
    let layers = polyphony_harness::layers(&settings(folder, worker));
    let config = polyphony_video_gen::Config::read(&layers).expect("a config");
    let store =
        polyphony_models::Store::open(&config.models, |name| std::env::var_os(name)).expect("a store");
    let residents = polyphony_models::Residents::new(config.models.residency());
    let opened = Engine::open(config, store, residents).await;
    opened.expect("opens")
}

#[tokio::test]
async fn without_a_worker_the_engine_says_how_to_get_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = opened(folder.path(), &folder.path().join("nowhere")).await;
    for lacking in [engine.check_worker(), engine.device().await.map(drop)] {
        let fault = polyphony_error::Fault::from(lacking.expect_err("there is none"));
        assert_eq!(fault.reason, "VIDEO_WORKER_MISSING");
        let told = &fault.message;
        assert!(told.contains("make video") && told.contains("nowhere"), "{told}");
    }
}

#[tokio::test]
async fn what_is_being_made_when_the_service_ends_is_made_by_the_next() {
    let mut served = serve(&[]).await;
    let begun = served.generate("slow one").await;
    served.until(&begun.name, JobState::Running).await;
    let folder = served.stop().await;
    let mut served = serve_in(folder, &[]).await;
    let done = served.ended(&begun.name).await;
    assert_eq!((done.state(), done.attempts), (JobState::Succeeded, 2));
}

#[tokio::test]
async fn a_worker_that_reads_nothing_is_killed_though_an_order_is_more_than_its_pipe_holds() {
    let mut served = serve(&["video-gen.worker_silence=1s"]).await;
    std::fs::write(served.folder.path().join("read-no-more"), b"").expect("written");
    // Of each character six bytes are sent, twice.
    let long = "\u{1}".repeat(4_000);
    let stuffed = pb::GenerateVideoRequest {
        spec: Some(pb::VideoSpec {
            negative_prompt: Some(long.clone()),
            ..spec(&long)
        }),
        ..pb::GenerateVideoRequest::default()
    };
    let name = served.begin(stuffed).await.expect("begins").name;
    let dead = tokio::time::timeout(Duration::from_secs(60), served.ended(&name)).await;
    let dead = dead.expect("it is killed");
    assert_eq!((dead.state(), dead.attempts), (JobState::Failed, 3));
}

#[tokio::test]
async fn a_worker_that_hangs_while_it_loads_is_killed() {
    let mut served = serve(&["video-gen.worker_silence=1s"]).await;
    let hang = served.folder.path().join("hang-while-loading");
    std::fs::write(&hang, b"").expect("written");
    let begun = served.generate("a cat").await;
    let dead = tokio::time::timeout(Duration::from_secs(60), served.ended(&begun.name)).await;
    assert_eq!(dead.expect("it is killed").state(), JobState::Failed);
    std::fs::remove_file(hang).expect("deleted");
    let next = served.generate("a dog").await;
    assert_eq!(served.ended(&next.name).await.state(), JobState::Succeeded);
}

#[tokio::test]
async fn a_video_is_cancelled_while_its_model_is_loaded() {
    let mut served = serve(&["video-gen.worker_silence=1h", "video-gen.cancel_timeout=1h"]).await;
    let hang = served.folder.path().join("hang-while-loading");
    std::fs::write(&hang, b"").expect("written");
    let begun = served.generate("a cat").await;
    served.until(&begun.name, JobState::Loading).await;
    let gone = tokio::time::timeout(Duration::from_secs(30), served.cancel(&begun.name)).await;
    let gone = gone.expect("it does not wait for the load").expect("runs");
    assert_eq!(gone.video.expect("a video").state(), JobState::Cancelled);
    std::fs::remove_file(hang).expect("deleted");
    let next = served.generate("a dog").await;
    let made = served.ended(&next.name).await;
    assert_eq!((made.state(), made.attempts), (JobState::Succeeded, 1));
}

#[tokio::test]
async fn a_worker_that_does_not_start_costs_no_video_and_is_tried_again() {
    let mut served = serve(&[]).await;
    let first = served.generate("slow one").await;
    for prompt in ["two", "three"] {
        served.generate(prompt).await;
    }
    served.until(&first.name, JobState::Running).await;
    let folder = served.stop().await;

    let worker = folder.path().join("stand-in-worker");
    let whole = std::fs::read(&worker).expect("a script");
    let tries = stand_in::broken(folder.path());
    let engine = opened(folder.path(), &worker).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let running = {
        let (engine, stop) = (engine.clone(), stop.clone());
        tokio::spawn(async move { engine.run(stop).await })
    };
    eventually(PATIENCE, "a fourth try", || tries() >= 4).await;
    let told = engine.check_worker().expect_err("it does not start").to_string();
    assert!(told.contains("no such driver"), "{told}");
    let all = async || {
        let filter = polyphony_jobs::Filter {
            most: 10,
            ..polyphony_jobs::Filter::default()
        };
        engine.queue().list(&filter).await.expect("works")
    };
    for job in all().await {
        assert_eq!(
            (job.state, job.strikes),
            (polyphony_jobs::State::Queued, 0),
            "{job:?}"
        );
    }
    std::fs::write(&worker, whole).expect("written");
    eventually_some(PATIENCE, "videos that are made", async || {
        let made = |job: &polyphony_jobs::Job| job.state == polyphony_jobs::State::Succeeded;
        all().await.iter().all(made).then_some(())
    })
    .await;
    stop.cancel();
    running.await.expect("ends");
}

#[tokio::test]
async fn weights_that_went_while_a_video_waited_are_named_and_no_worker_is_blamed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (weights, catalogue) = (
        folder.path().join("weights"),
        folder.path().join("models/catalogue.d"),
    );
    std::fs::create_dir_all(&weights).expect("made");
    std::fs::create_dir_all(&catalogue).expect("made");
    std::fs::write(weights.join("model_index.json"), b"{}").expect("written");
    let entry = format!(
        "[[model]]\nid = \"wan2.1-t2v-1.3b\"\ntask = \"video\"\nengine = \"wan\"\ndescription = \"of a test\"\n\
         licence = \"Apache-2.0\"\nsource = {{ kind = \"folder\", path = \"{}\" }}\n\
         variant = [{{ name = \"bf16\", memory_bytes = 1000 }}]\n",
        weights.display()
    );
    std::fs::write(catalogue.join("wan.toml"), entry).expect("written");
    let hang = folder.path().join("hang-while-loading");
    std::fs::write(&hang, b"").expect("written");
    let mut served = serve_in(folder, &["video-gen.worker_silence=1h"]).await;
    let real = pb::GenerateVideoRequest {
        spec: Some(pb::VideoSpec {
            load_format: pb::LoadFormat::Weights.into(),
            ..spec("a cat")
        }),
        ..pb::GenerateVideoRequest::default()
    };
    let name = served.begin(real).await.expect("begins").name;
    served.until(&name, JobState::Loading).await;
    let folder = served.stop().await;

    std::fs::remove_dir_all(&weights).expect("deleted");
    std::fs::remove_file(hang).expect("deleted");
    let mut served = serve_in(folder, &[]).await;
    let failed = served.ended(&name).await;
    assert_eq!((failed.state(), failed.attempts), (JobState::Failed, 2));
    let error = failed.error.expect("a cause");
    assert!(
        error.code != i32::from(Code::Internal) && error.message.contains("wan2.1-t2v-1.3b"),
        "{error:?}"
    );
}

#[tokio::test]
async fn videos_wait_for_room_on_the_disk() {
    let mut served = serve(&[]).await;
    let first = served.generate("slow one").await;
    let second = served.generate("two").await;
    served.until(&first.name, JobState::Running).await;
    let folder = served.stop().await;
    // There is never so much.
    let mut served = serve_in(folder, &["jobs.min_free=1000TiB"]).await;
    let refused = served.refused(request("three")).await;
    assert_eq!(reason(&refused), "DISK_FULL");
    let waits = eventually_some(PATIENCE, "what waits", async || {
        let video = served.get(&first.name).await;
        (video.state() == JobState::Queued).then_some(video)
    });
    assert_eq!(waits.await.attempts, 1, "it is not begun anew");
    let folder = served.stop().await;
    let mut served = serve_in(folder, &[]).await;
    for name in [&first.name, &second.name] {
        assert_eq!(served.ended(name).await.state(), JobState::Succeeded);
    }
}

#[tokio::test]
async fn a_file_that_is_not_whole_is_not_sent_as_if_it_were() {
    let mut served = serve(&[]).await;
    let made = served.generate("a cat").await;
    served.ended(&made.name).await;
    let id = made.name.strip_prefix("videos/").expect("a name");
    let path = served
        .folder
        .path()
        .join("jobs/video-gen/artifacts")
        .join(id)
        .join("video.mp4");
    let whole = std::fs::read(&path).expect("there");
    let download = pb::DownloadVideoRequest {
        name: made.name.clone(),
        ..pb::DownloadVideoRequest::default()
    };
    let mut refused = async || {
        let refused = served.client.download_video(download.clone()).await;
        refused.map(drop).expect_err("not whole")
    };
    std::fs::write(&path, &whole[..1_000]).expect("written");
    assert_eq!(reason(&refused().await), "VIDEO_FILE_LOST");
    std::fs::remove_file(&path).expect("deleted");
    let lost = refused().await;
    assert_eq!(
        (lost.code(), reason(&lost).as_str()),
        (Code::Internal, "VIDEO_FILE_LOST")
    );
    assert!(lost.message().contains("jobs.data_dir"), "{}", lost.message());
}
