//! kill -9 at random moments: no job is lost, none is done twice, files are whole, and a poisoned job is dead after three
//! attempts.
//!
//! The process that is killed is this test binary, called for one test that does nothing unless it is told a folder.
//! `POLYPHONY_JOBS_KILLS` says how often (25 unless it is set).

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use polyphony_jobs::{Filter, Held, Job, Queue, State, Terms};

use super::support::{ME, config, submit, terms};

const FOLDER: &str = "POLYPHONY_JOBS_KILLS_FOLDER";
const BLAME: &str = "POLYPHONY_JOBS_KILLS_BLAME";
const POISON: &str = "poison";
const JOBS: usize = 20;

fn kills() -> usize {
    std::env::var("POLYPHONY_JOBS_KILLS").map_or(25, |text| text.parse().expect("a number"))
}

fn terms_of(blame_losses: bool) -> Terms {
    Terms {
        blame_losses,
        lanes: 2,
        ..terms()
    }
}

/// What a job makes of its payload.
fn made(payload: &[u8]) -> Vec<u8> {
    payload.repeat(2_000)
}

/// The process that is killed: two workers, until nothing waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let blame = std::env::var_os(BLAME).is_some();
    let queue = Queue::open(&config(&folder), terms_of(blame))
        .await
        .expect("opens");
    let log = folder.join("done");
    let workers = (0..2).map(|_| tokio::spawn(work(queue.clone(), log.clone(), blame)));
    for worker in workers.collect::<Vec<_>>() {
        worker.await.expect("works");
    }
}

async fn work(queue: Queue, log: PathBuf, blame: bool) {
    let mut changes = queue.changes();
    loop {
        let Some(held) = queue.claim().await.expect("works") else {
            let filter = Filter {
                states: vec![State::Queued, State::Loading, State::Running],
                most: 1,
                ..Filter::default()
            };
            if queue.list(&filter).await.expect("works").is_empty() {
                return;
            }
            queue.changed(&mut changes).await;
            continue;
        };
        if held.payload() == POISON.as_bytes() {
            if blame {
                std::process::abort();
            }
            held.broke("it is poisoned").await.expect("held");
            continue;
        }
        do_it(&queue, held, &log).await;
    }
}

async fn do_it(queue: &Queue, held: Held, log: &Path) {
    held.advance(State::Running).await.expect("held");
    let id = held.job().id.clone();
    let draft = queue.artifacts().begin(&id, "out.bin").expect("room");
    for piece in made(held.payload()).chunks(4_000) {
        draft.append(piece).expect("room");
        held.beat().await.expect("held");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let artifact = draft.publish().expect("room");
    held.succeed(artifact.digest.as_bytes()).await.expect("held");
    let mut log = fs::File::options()
        .create(true)
        .append(true)
        .open(log)
        .expect("a log");
    writeln!(log, "{id}").expect("written");
}

fn start(folder: &Path, blame: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("a test"));
    command
        .args(["kills::child", "--exact", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if blame {
        command.env(BLAME, "1");
    }
    command.spawn().expect("starts")
}

async fn submit_all(folder: &Path, blame: bool) -> Vec<Job> {
    let queue = Queue::open(&config(folder), terms_of(blame))
        .await
        .expect("opens");
    let mut jobs = Vec::new();
    for number in 0..JOBS {
        let payload = format!("job {number:04}");
        jobs.push(submit(&queue, if number == 3 { POISON } else { &payload }).await);
    }
    queue.close().await;
    jobs
}

async fn all(folder: &Path, blame: bool) -> (Queue, Vec<Job>) {
    let queue = Queue::open(&config(folder), terms_of(blame))
        .await
        .expect("opens");
    let filter = Filter {
        most: 1_000,
        ..Filter::default()
    };
    let jobs = queue.list(&filter).await.expect("works");
    (queue, jobs)
}

/// Lets it run to its end, and looks at what came of it.
async fn finish(folder: &Path, blame: bool, submitted: &[Job]) {
    let ended = start(folder, blame).wait().expect("ends");
    assert!(ended.success(), "{ended}");
    let (queue, jobs) = all(folder, blame).await;
    assert_eq!(
        jobs.iter().map(|job| &job.id).collect::<Vec<_>>(),
        submitted.iter().map(|job| &job.id).collect::<Vec<_>>(),
        "none is lost"
    );
    for (number, job) in jobs.iter().enumerate() {
        if number == 3 {
            assert_eq!((job.state, job.strikes), (State::Failed, 3), "{job:?}");
            continue;
        }
        assert_eq!(job.state, State::Succeeded, "{job:?}");
        let payload = queue.payload(&job.id).await.expect("kept");
        let bytes = fs::read(queue.artifacts().path(&job.id, "out.bin")).expect("published");
        assert_eq!(bytes, made(&payload), "its file is whole");
        assert!(queue.result(&job.id).await.expect("kept").starts_with(b"sha256:"));
        queue.get(&job.id, ME).await.expect("its owner's");
    }
    let log = fs::read_to_string(folder.join("done")).expect("a log");
    let mut told: Vec<&str> = log.lines().collect();
    let many = told.len();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), many, "none is done twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_kill_loses_a_job_or_does_it_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let submitted = submit_all(folder.path(), false).await;
    let mut chance = fastrand::Rng::with_seed(1);
    let (mut over, mut kills_at_work) = (Vec::new(), 0);
    for _ in 0..kills() {
        let mut child = start(folder.path(), false);
        std::thread::sleep(Duration::from_millis(chance.u64(20..160)));
        kills_at_work += usize::from(child.try_wait().expect("waits").is_none());
        child.kill().expect("killed");
        child.wait().expect("ends");
        let (queue, jobs) = all(folder.path(), false).await;
        queue.close().await;
        // What is over stays over, to the last bit.
        for job in &over {
            assert!(jobs.contains(job), "{job:?}");
        }
        over = jobs.into_iter().filter(|job| job.state.is_over()).collect();
    }
    assert!(kills_at_work * 2 >= kills().min(40), "it was mostly done already");
    finish(folder.path(), false, &submitted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_takes_the_process_with_it_is_dead_after_three_attempts() {
    let folder = tempfile::tempdir().expect("a folder");
    let submitted = submit_all(folder.path(), true).await;
    let begun = Instant::now();
    let mut deaths = 0;
    loop {
        let ended = start(folder.path(), true).wait().expect("ends");
        if ended.success() {
            break;
        }
        deaths += 1;
        assert!(begun.elapsed() < Duration::from_secs(60), "it never ends");
    }
    assert_eq!(deaths, 3);
    finish(folder.path(), true, &submitted).await;
}
