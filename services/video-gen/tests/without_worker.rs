//! What is answered while there is no worker, or none that starts: everything but what needs a device.

use polyphony_proto::google::longrunning as lro;
use polyphony_proto::google::longrunning::operations_client::OperationsClient;
use polyphony_proto::types::v1::JobState;
use polyphony_proto::video::v1 as pb;
use polyphony_proto::video::v1::video_service_server::SERVICE_NAME;
use polyphony_testing::eventually;
use tonic::Code;
use tonic_types::StatusExt;

use super::stand_in;
use super::support::{PATIENCE, Served, joined, reason, request, serve, serve_with, spec};

const GENERATE: &str = "polyphony.video.v1.VideoService/GenerateVideo";

/// A worker is looked for where none is yet.
async fn serve_without(folder: tempfile::TempDir) -> Served {
    let nowhere = folder.path().join("later");
    serve_with(folder, &nowhere, &[]).await
}

/// What health says of making videos.
fn can_make(served: &Served) -> bool {
    let readiness = &served.running.readiness;
    let rest = [SERVICE_NAME, "google.longrunning.Operations", ""];
    for service in rest {
        assert_eq!(readiness.is_serving(service), Some(true), "{service:?}");
    }
    readiness.is_serving(GENERATE).expect("it has a name of its own")
}

#[tokio::test]
async fn all_but_making_goes_on_without_a_worker_and_what_waits_is_made_when_there_is_one() {
    let mut served = serve(&[]).await;
    let done = served.generate("a cat").await;
    served.ended(&done.name).await;
    let asked = pb::GenerateVideoRequest {
        request_id: "7f0c1f9e-3d3a-4a35-9df5-0b8f5a6d7c11".to_owned(),
        ..request("slow one")
    };
    let waiting = served.begin(asked.clone()).await.expect("begins").name;
    let unwanted = served.generate("two").await.name;
    served.until(&waiting, JobState::Running).await;
    let folder = served.stop().await;

    let mut served = serve_without(folder).await;
    assert!(!can_make(&served));
    let awaited = served.running.readiness.awaited(GENERATE).join(", ");
    assert!(awaited.contains("`make video` installs it"), "{awaited}");
    let refused = served.refused(request("a dog")).await;
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "VIDEO_WORKER_MISSING")
    );
    assert!(
        refused.message().contains("`make video` installs it"),
        "{}",
        refused.message()
    );
    let refused = served
        .estimate(spec("a dog"))
        .await
        .expect_err("an unknown device");
    assert_eq!(reason(&refused), "VIDEO_WORKER_MISSING");
    let refused = served.refused(request("")).await;
    assert_eq!(
        refused.code(),
        Code::InvalidArgument,
        "what is wrong is said first"
    );
    let told = served
        .client
        .get_capabilities(pb::GetCapabilitiesRequest {})
        .await;
    let told = told.expect("told").into_inner();
    assert!(told.models.is_empty(), "none can be asked for");
    let lacks = told.unavailable_models[0].degraded.as_ref().expect("why");
    assert_eq!(lacks.reason, "VIDEO_WORKER_MISSING");

    let again = served.begin(asked).await.expect("it is there");
    assert_eq!(again.name, waiting);
    let listed = served.list(pb::ListVideosRequest::default()).await;
    assert_eq!(listed.videos.len(), 3);
    let file = joined(&served.download(&done.name, 0).await);
    assert_eq!(file, stand_in::bytes_of(7, "a cat"));
    assert_eq!(served.queue().await.depth, 2);
    let gone = served.cancel(&unwanted).await.expect("waits");
    assert_eq!(gone.video.expect("a video").state(), JobState::Cancelled);
    let mut operations = OperationsClient::new(served.running.channel().await);
    let get = lro::GetOperationRequest {
        name: done.operation.clone(),
    };
    let operation = operations.get_operation(get).await.expect("known").into_inner();
    assert!(operation.done);
    let delete = pb::DeleteVideoRequest { name: done.name };
    served.client.delete_video(delete).await.expect("over");
    assert_eq!(served.get(&waiting).await.state(), JobState::Queued);

    let script = served.folder.path().join("stand-in-worker");
    std::fs::rename(script, served.folder.path().join("later")).expect("installed");
    assert_eq!(served.ended(&waiting).await.state(), JobState::Succeeded);
    eventually(PATIENCE, "health to say so", || can_make(&served)).await;
}

#[tokio::test]
async fn a_worker_that_does_not_start_is_told_at_once_and_not_tried_by_each_caller() {
    let mut served = serve(&[]).await;
    let tries = stand_in::broken(served.folder.path());
    eventually(PATIENCE, "health before anything was tried", || can_make(&served)).await;
    let calls = (0..20).map(|_| {
        let mut client = served.client.clone();
        tokio::spawn(async move { client.generate_video(request("a cat")).await })
    });
    for call in calls.collect::<Vec<_>>() {
        let refused = call.await.expect("runs").expect_err("it does not start");
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::Unavailable, "VIDEO_WORKER_BROKEN")
        );
        let told = refused.message();
        assert!(
            told.contains("no such driver") && told.contains("`make video`"),
            "{told}"
        );
        assert!(refused.get_error_details().retry_info().is_some());
    }
    // One caller tried it, and whoever makes what waits may have.
    assert!((1..=4).contains(&tries()), "{}", tries());
    eventually(PATIENCE, "health to say so", || !can_make(&served)).await;
    assert_eq!(served.queue().await.depth, 0);
}
