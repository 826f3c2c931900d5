//! kill -9 of the service itself: no video is lost or made twice, and the same seed makes the same bytes.
//!
//! `POLYPHONY_VIDEO_KILLS` says how often (10 unless it is set).

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use polyphony_proto::types::v1::JobState;
use polyphony_proto::video::v1 as pb;
use tonic::transport::Channel;

use super::stand_in;
use super::support::{Client, ended, request, settings, video};

const VIDEOS: usize = 20;

fn kills() -> usize {
    std::env::var("POLYPHONY_VIDEO_KILLS").map_or(10, |text| text.parse().expect("a number"))
}

fn start(folder: &Path, port: u16, more: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyphony-video-gen"));
    let settings = settings(folder, &folder.join("stand-in-worker"));
    for setting in settings.iter().map(String::as_str).chain(more.iter().copied()) {
        command.args(["--set", setting]);
    }
    command
        .args(["--set", &format!("video-gen.server.listen=127.0.0.1:{port}")])
        .args(["--set", "video-gen.server.admin=127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

async fn connected(address: SocketAddr) -> Client {
    let endpoint = Channel::from_shared(format!("http://{address}")).expect("a uri");
    for _ in 0..2_000 {
        if let Ok(channel) = endpoint.connect().await {
            let mut client = Client::new(channel);
            if client.get_queue(pb::GetQueueRequest {}).await.is_ok() {
                return client;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never serves");
}

/// The name of a video that is begun.
async fn generate(client: &mut Client, prompt: &str) -> String {
    let begun = client.generate_video(request(prompt)).await.expect("begins");
    video(begun.get_ref()).name
}

async fn all(client: &mut Client) -> Vec<pb::Video> {
    let listed = client
        .list_videos(pb::ListVideosRequest::default())
        .await
        .expect("listed");
    listed.into_inner().videos
}

fn is_over(video: &pb::Video) -> bool {
    matches!(
        video.state(),
        JobState::Succeeded | JobState::Failed | JobState::Cancelled
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn no_kill_loses_a_video_or_makes_it_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    stand_in::script(folder.path());
    let port = free_port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut child = start(folder.path(), port, &[]);
    let mut client = connected(address).await;
    // Two of each kind, which must be the same to the last bit.
    let mut names = HashMap::new();
    for number in 0..VIDEOS {
        let prompt = if number == 5 {
            "poison".to_owned()
        } else {
            format!("steady cat {}", number / 2)
        };
        names.insert(generate(&mut client, &prompt).await, prompt);
    }
    let (mut chance, mut over) = (fastrand::Rng::with_seed(3), HashMap::<String, pb::Video>::new());
    let mut at_work = 0;
    for _ in 0..kills() {
        tokio::time::sleep(Duration::from_millis(chance.u64(10..250))).await;
        child.kill().expect("killed");
        child.wait().expect("ends");
        child = start(folder.path(), port, &[]);
        client = connected(address).await;
        let videos = all(&mut client).await;
        assert_eq!(videos.len(), VIDEOS, "none is lost");
        at_work += usize::from(!videos.iter().all(is_over));
        for video in videos.into_iter().filter(is_over) {
            // What is over stays over, to the last bit.
            let before = over.entry(video.name.clone()).or_insert_with(|| video.clone());
            assert_eq!(*before, video);
        }
    }
    assert!(
        at_work >= kills().min(20) / 2,
        "it was mostly done already: {at_work}"
    );
    let mut digests = HashMap::<String, String>::new();
    for (name, prompt) in &names {
        let video = ended(&mut client, name).await;
        if prompt == "poison" {
            assert_eq!(video.state(), JobState::Failed);
            continue;
        }
        assert_eq!(video.state(), JobState::Succeeded, "{video:?}");
        let digest = video.file.expect("a file").digest;
        let same = digests.entry(prompt.clone()).or_insert_with(|| digest.clone());
        assert_eq!(*same, digest, "the same seed makes the same bytes");
    }
    child.kill().expect("killed");
    child.wait().expect("ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_during_which_the_service_ends_again_and_again_fails_and_lets_others_pass() {
    let folder = tempfile::tempdir().expect("a folder");
    stand_in::script(folder.path());
    let port = free_port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let settings = ["video-gen.max_interruptions=3", "video-gen.worker_silence=1h"];
    let mut child = start(folder.path(), port, &settings);
    let mut client = connected(address).await;
    let mut begun = Vec::new();
    for prompt in ["hang", "a cat"] {
        begun.push(generate(&mut client, prompt).await);
    }
    for end in 1..=3 {
        // What is begun the third time is not begun a fourth.
        let begun = || {
            let notes = stand_in::notes(folder.path());
            notes.iter().filter(|note| *note == "generate hang").count()
        };
        while begun() < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        child.kill().expect("killed");
        child.wait().expect("ends");
        child = start(folder.path(), port, &settings);
        client = connected(address).await;
    }
    let mut last = Vec::new();
    for name in begun {
        last.push(ended(&mut client, &name).await);
    }
    child.kill().expect("killed");
    child.wait().expect("ends");
    assert_eq!((last[0].state(), last[0].attempts), (JobState::Failed, 3));
    let error = last[0].error.as_ref().expect("a cause");
    assert!(
        error.message.contains("ended 3 times in a row"),
        "{}",
        error.message
    );
    assert_eq!(last[1].state(), JobState::Succeeded);
}
