//! The life of a video, from its request to its deletion.

use polyphony_proto::google::longrunning as lro;
use polyphony_proto::google::longrunning::operations_client::OperationsClient;
use polyphony_proto::types::v1::JobState;
use polyphony_proto::video::v1 as pb;
use polyphony_testing::eventually;
use prost::Message;
use tonic::Code;

use super::stand_in::bytes_of;
use super::support::{PATIENCE, Served, joined, reason, request, serve, spec, video};

#[tokio::test]
async fn a_video_is_made_watched_downloaded_and_deleted() {
    let mut served = serve(&[]).await;
    let begun = served.generate("a steady cat").await;
    assert!(begun.name.starts_with("videos/") && begun.dummy_weights);
    assert_eq!(begun.owner, "anonymous");
    let filled = begun.spec.clone().expect("a spec");
    assert_eq!((filled.seed, filled.num_inference_steps), (Some(7), Some(8)));

    let heard = served.watch(&begun.name, 2).await;
    let videos: Vec<&pb::Video> = heard
        .iter()
        .filter_map(|message| message.video.as_ref())
        .collect();
    assert!(
        videos.iter().map(|video| video.state).is_sorted(),
        "states are passed in order"
    );
    let shares: Vec<u32> = videos
        .iter()
        .filter_map(|video| video.progress.as_ref())
        .map(|progress| progress.progress_percent)
        .collect();
    assert!(shares.is_sorted() && !shares.is_empty(), "{shares:?}");
    assert!(
        heard
            .iter()
            .any(|message| message.preview_image.starts_with(b"preview "))
    );
    let done = (*videos.last().expect("told")).clone();
    assert_eq!((done.state(), done.attempts), (JobState::Succeeded, 1));
    let file = done.file.clone().expect("a file");
    let bytes = bytes_of(7, "a steady cat");
    assert_eq!(file.size_bytes, bytes.len() as u64);
    let receipt = done.receipt.clone().expect("a receipt");
    assert_eq!(
        (receipt.model.as_str(), receipt.seed),
        ("wan2.1-t2v-1.3b", Some(7))
    );
    assert_eq!(receipt.degraded.expect("dummy weights").reason, "DUMMY_WEIGHTS");
    assert!(done.expire_time.is_some());

    let pieces = served.download(&done.name, 0).await;
    assert_eq!(joined(&pieces), bytes);
    assert!(pieces.iter().all(|piece| piece.content.len() <= 32 << 10));
    assert_eq!(
        (pieces[0].total_bytes, &pieces[0].digest),
        (file.size_bytes, &file.digest)
    );
    let rest = served.download(&done.name, 40_000).await;
    assert_eq!(joined(&rest), bytes[40_000..]);
    assert_eq!(rest[0].start_byte, 40_000);
    let nothing = served.download(&done.name, file.size_bytes).await;
    assert!(nothing.len() == 1 && nothing[0].content.is_empty() && nothing[0].digest == file.digest);
    let ask = |start_byte, expected_digest: &str| {
        let request = pb::DownloadVideoRequest {
            name: done.name.clone(),
            start_byte,
            expected_digest: expected_digest.to_owned(),
        };
        let mut client = served.client.clone();
        async move { client.download_video(request).await.map(drop) }
    };
    let refused = ask(file.size_bytes + 1, "").await.expect_err("behind the end");
    assert_eq!(refused.code(), Code::OutOfRange);
    let refused = ask(0, "sha256:00").await.expect_err("another file");
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::Aborted, "VIDEO_CHANGED")
    );

    // It is an operation as well.
    let mut operations = OperationsClient::new(served.running.channel().await);
    let get = lro::GetOperationRequest {
        name: done.operation.clone(),
    };
    let operation = operations.get_operation(get).await.expect("known").into_inner();
    let Some(lro::operation::Result::Response(any)) = operation.result else {
        panic!("{operation:?}")
    };
    assert_eq!(pb::Video::decode(any.value.as_slice()).expect("a video"), done);

    let delete = pb::DeleteVideoRequest {
        name: done.name.clone(),
    };
    served.client.delete_video(delete.clone()).await.expect("over");
    let gone = served.client.delete_video(delete).await.expect_err("deleted");
    assert_eq!(gone.code(), Code::NotFound);
}

#[tokio::test]
async fn videos_wait_in_turn_and_the_queue_says_so() {
    let mut served = serve(&[]).await;
    let first = served.generate("slow one").await;
    served.until(&first.name, JobState::Running).await;
    let second = served.generate("two").await;
    let hurried = pb::GenerateVideoRequest {
        priority: pb::Priority::High.into(),
        ..request("three")
    };
    let third = served.begin(hurried).await.expect("may");
    let place = |video: &pb::Video| video.queue.as_ref().map(|queue| (queue.position, queue.depth));
    assert_eq!(place(&served.get(&third.name).await), Some((0, 2)));
    let waits = served.get(&second.name).await;
    assert_eq!(place(&waits), Some((1, 2)));
    assert!(waits.queue.expect("waits").estimated_wait_duration.is_some());
    let queue = served.queue().await;
    assert_eq!((queue.depth, queue.max_depth), (2, 64));
    let device = &queue.devices[0];
    assert!(device.busy && device.video == first.name && device.device == "cpu");
    assert_eq!(device.model, "wan2.1-t2v-1.3b@dummy");
    served.ended(&second.name).await;
    let order: Vec<String> = served
        .notes()
        .into_iter()
        .filter(|note| note.starts_with("generate"))
        .collect();
    assert_eq!(order, ["generate slow one", "generate three", "generate two"]);
    assert_eq!(served.notes().iter().filter(|note| *note == "load").count(), 1);

    let list = |page_token: &str| pb::ListVideosRequest {
        page_size: 2,
        model: "wan".to_owned(),
        page_token: page_token.to_owned(),
        ..pb::ListVideosRequest::default()
    };
    let page = served.list(list("")).await;
    let names: Vec<&String> = page.videos.iter().map(|video| &video.name).collect();
    assert_eq!(names, [&third.name, &second.name], "the newest first");
    let page = served.list(list(&page.next_page_token)).await;
    assert_eq!(page.videos[0].name, first.name);
    assert!(page.next_page_token.is_empty());
}

#[tokio::test]
async fn the_same_request_id_is_the_same_video_and_checking_keeps_nothing() {
    let mut served = serve(&[]).await;
    let same = pb::GenerateVideoRequest {
        request_id: "7f0c1f9e-3d3a-4a35-9df5-0b8f5a6d7c11".to_owned(),
        ..request("a cat")
    };
    let one = served.begin(same.clone()).await.expect("begins");
    let two = served.begin(same.clone()).await.expect("known");
    assert_eq!((&one.name, &one.operation), (&two.name, &two.operation));
    let other = pb::GenerateVideoRequest {
        spec: Some(spec("a dog")),
        ..same
    };
    let refused = served.refused(other).await;
    assert_eq!(refused.code(), Code::InvalidArgument);
    served.ended(&one.name).await;
    let check = pb::GenerateVideoRequest {
        validate_only: true,
        ..request("a cat")
    };
    let checked = served
        .client
        .generate_video(check)
        .await
        .expect("is right")
        .into_inner();
    assert!(checked.done && video(&checked).file.is_none());
    let listed = served.list(pb::ListVideosRequest::default()).await;
    assert_eq!(listed.videos.len(), 1);
}

#[tokio::test]
async fn an_estimate_is_worked_out_and_then_measured() {
    let mut served = serve(&[]).await;
    let first = served.estimate(spec("a cat")).await.expect("told");
    assert_eq!(first.basis(), pb::EstimateBasis::Calculated);
    assert!(0 < first.peak_memory_bytes && first.peak_memory_bytes < first.available_memory_bytes);
    assert!(first.effective_spec.expect("a spec").size.is_some());
    assert!(
        served.notes().iter().all(|note| !note.starts_with("generate")),
        "nothing is run"
    );
    let made = served.generate("a cat").await;
    served.ended(&made.name).await;
    let second = served.estimate(spec("a cat")).await.expect("told");
    assert_eq!(second.basis(), pb::EstimateBasis::Measured);
    let duration = second.inference_duration.expect("told");
    assert!(duration.seconds == 0 && duration.nanos > 0, "{duration:?}");
    assert_eq!(
        second.load_duration.map(|load| (load.seconds, load.nanos)),
        Some((0, 0)),
        "it is in memory"
    );
}

#[tokio::test]
async fn models_leave_when_idle_and_the_worker_with_them() {
    let mut served = serve(&["models.idle_unload=1s", "video-gen.worker_idle=1s"]).await;
    let made = served.generate("a cat").await;
    served.ended(&made.name).await;
    let noted = async |served: &Served, what: &str, count: usize| {
        let many = || served.notes().iter().filter(|note| *note == what).count();
        eventually(PATIENCE, &format!("{count} times {what}"), || many() == count).await;
    };
    noted(&served, "unload", 1).await;
    let again = served.generate("a dog").await;
    assert_eq!(served.ended(&again.name).await.state(), JobState::Succeeded);
    noted(&served, "load", 2).await;
}

#[tokio::test]
async fn capabilities_are_what_is_there_and_what_is_not() {
    let mut served = serve(&[]).await;
    let told = served
        .client
        .get_capabilities(pb::GetCapabilitiesRequest {})
        .await
        .expect("told")
        .into_inner();
    assert_eq!(told.models.len(), told.limits.len());
    assert_eq!(told.models[0].model, "wan2.1-t2v-1.3b");
    let absent = told.models[0].degraded.as_ref().expect("no weights here");
    assert!(absent.message.contains("polyphony models pull wan2.1-t2v-1.3b"));
    let waver = told
        .unavailable_models
        .iter()
        .find(|model| model.model == "waver-1.0");
    let waver = waver.and_then(|model| model.degraded.as_ref()).expect("named");
    assert_eq!(waver.reason, "MODEL_UNRELEASED");
    assert!(
        told.models[0]
            .supported_fields
            .contains(&"spec.wan.flow_shift".to_owned())
    );
}

#[tokio::test]
async fn pages_are_as_long_as_a_message_may_be() {
    let mut served = serve(&["video-gen.max_queue=200"]).await;
    let first = served.generate("slow one").await;
    let mut names = vec![first.name];
    // Of each character four bytes, twice.
    let long = "\u{1f408}".repeat(4_000);
    for _ in 0..150 {
        let request = pb::GenerateVideoRequest {
            spec: Some(pb::VideoSpec {
                negative_prompt: Some(long.clone()),
                ..spec(&long)
            }),
            ..pb::GenerateVideoRequest::default()
        };
        names.push(served.begin(request).await.expect("begins").name);
    }
    let (mut told, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListVideosRequest {
            page_size: 1_000,
            page_token,
            ..pb::ListVideosRequest::default()
        };
        // More than 4 MiB would be refused by the client.
        let page = served.list(request).await;
        told.extend(page.videos.into_iter().map(|video| video.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    names.reverse();
    assert_eq!(told, names);
}
