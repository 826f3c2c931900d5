//! The worker as its parent sees it: a process that is spoken with by its standard input and output.

mod refusing;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command as Program, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use polyphony_video_worker::protocol::{
    self, Command, DummySize, Event, FailureKind, Order, Sampler, Stage, Weights,
};
use tempfile::TempDir;

use crate::parity::{order as parity_order, repository};

pub(crate) const WORKER: &str = env!("CARGO_BIN_EXE_polyphony-video-worker");
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Worker {
    child: Child,
    commands: Option<ChildStdin>,
    events: Receiver<Event>,
}

impl Worker {
    pub(crate) fn start() -> Self {
        let mut program = Program::new(WORKER);
        program.args(["--device", "cpu"]);
        let worker = Self::of(program);
        let ready = worker.next();
        assert!(
            matches!(&ready, Event::Ready { device, protocol, torch_version, total_memory_bytes, .. }
            if device == "cpu" && *protocol == protocol::VERSION && torch_version == "2.11.0" && *total_memory_bytes > 0),
            "{ready:?}"
        );
        worker
    }

    pub(crate) fn of(mut program: Program) -> Self {
        let mut child = program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the worker starts");
        let (sender, events) = mpsc::channel();
        let mut output = BufReader::new(child.stdout.take().expect("the worker can be spoken with"));
        std::thread::spawn(move || {
            while let Ok(Some(event)) = protocol::read(&mut output) {
                if sender.send(event).is_err() {
                    break;
                }
            }
        });
        Self {
            commands: child.stdin.take(),
            child,
            events,
        }
    }

    pub(crate) fn say(&mut self, command: &Command) {
        protocol::write(
            self.commands.as_mut().expect("the worker can be spoken with"),
            command,
        )
        .expect("the worker can be spoken with");
    }

    fn say_line(&mut self, line: &[u8]) {
        self.commands
            .as_mut()
            .expect("the worker can be spoken with")
            .write_all(line)
            .expect("the worker can be spoken with");
    }

    pub(crate) fn generate(&mut self, order: &Order) {
        self.say(&Command::Generate {
            order: Box::new(order.clone()),
        });
    }

    fn cancel(&mut self, id: &str) {
        self.say(&Command::Cancel { id: id.into() });
    }

    #[track_caller]
    pub(crate) fn next(&self) -> Event {
        self.events
            .recv_timeout(PATIENCE)
            .expect("the worker says something")
    }

    /// Events up to the end of an order.
    #[track_caller]
    pub(crate) fn until_end(&self, id: &str) -> Vec<Event> {
        let mut heard = Vec::new();
        loop {
            let event = self.next();
            let is_end = match &event {
                Event::Done { id: of, .. } | Event::Cancelled { id: of } => of == id,
                Event::Failed { id: of, .. } => of.as_deref() == Some(id),
                _ => false,
            };
            heard.push(event);
            if is_end {
                return heard;
            }
        }
    }

    /// Closes its input and waits for its end.
    fn close(mut self) -> Vec<Event> {
        drop(self.commands.take());
        assert!(ends(&mut self.child), "the worker goes on without a parent");
        self.events.iter().collect()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn ends(child: &mut Child) -> bool {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if child.try_wait().expect("the worker can be spoken with").is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

pub(crate) fn toy(folder: &Path, id: &str) -> Order {
    Order {
        id: id.into(),
        weights: Weights::Dummy { size: DummySize::Toy },
        output: folder.join(format!("{id}.mp4")),
        receipt: format!("{{\"id\":\"{id}\"}}"),
        ..parity_order(Sampler::Unipc, 5.0)
    }
}

/// One whose steps take long enough to be met.
fn long(folder: &Path, id: &str) -> Order {
    Order {
        width: 320,
        height: 192,
        num_frames: 33,
        num_inference_steps: 200,
        ..toy(folder, id)
    }
}

fn files(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder.path())
        .expect("the worker can be spoken with")
        .map(|entry| {
            entry
                .expect("the worker can be spoken with")
                .file_name()
                .into_string()
                .expect("the worker can be spoken with")
        })
        .collect();
    names.sort();
    names
}

#[test]
fn an_order_is_told_step_by_step_and_the_same_order_is_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = Worker::start();
    let mut first = toy(folder.path(), "first");
    first.preview_every_steps = 2;
    first.receipt = "same".into();
    worker.generate(&first);
    let heard = worker.until_end("first");
    let stages: Vec<Stage> = heard
        .iter()
        .filter_map(|event| {
            if let Event::Stage { stage, .. } = event {
                Some(*stage)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(
        stages,
        [
            Stage::TextEncoding,
            Stage::Denoising,
            Stage::Decoding,
            Stage::Encoding
        ]
    );
    let steps: Vec<u32> = heard
        .iter()
        .filter_map(|event| match event {
            Event::Step {
                step,
                of: 4,
                memory_bytes,
                ..
            } if *memory_bytes > 0 => Some(*step),
            _ => None,
        })
        .collect();
    assert_eq!(steps, [1, 2, 3, 4]);
    assert!(matches!(&heard[0], Event::Loading { .. }));
    assert!(matches!(&heard[1], Event::Loaded { bytes, .. } if *bytes > 100_000));
    let Some(Event::Preview {
        step: 2, frame, path, ..
    }) = heard.iter().find(|event| matches!(event, Event::Preview { .. }))
    else {
        panic!("no preview: {heard:?}");
    };
    assert!(*frame < first.num_frames);
    let preview = image::open(path).unwrap();
    assert_eq!((preview.width(), preview.height()), (48, 32));
    let Some(Event::Done {
        size_bytes,
        sha256,
        frames: 9,
        peak_memory_bytes,
        timings,
        ..
    }) = heard.last()
    else {
        panic!("{:?}", heard.last());
    };
    assert_eq!(fs::metadata(&first.output).unwrap().len(), *size_bytes);
    assert!(*peak_memory_bytes > 0 && timings.denoising > 0.0 && timings.decoding > 0.0);

    // Again, with previews off and the model in memory.
    let mut again = first.clone();
    (again.id, again.output, again.preview_every_steps) =
        ("again".into(), folder.path().join("again.mp4"), 0);
    worker.generate(&again);
    let heard = worker.until_end("again");
    assert!(!heard.iter().any(|event| matches!(event, Event::Loading { .. })));
    let Some(Event::Done { sha256: second, .. }) = heard.last() else {
        panic!("{:?}", heard.last());
    };
    assert_eq!(sha256, second);
    assert_eq!(fs::read(&first.output).unwrap(), fs::read(&again.output).unwrap());
    assert_eq!(files(&folder), ["again.mp4", "first.0002.jpg", "first.mp4"]);

    // Another seed is another video.
    again.seed += 1;
    worker.generate(&again);
    assert!(
        matches!(worker.until_end("again").last(), Some(Event::Done { sha256: other, .. }) if other != second)
    );
    assert!(worker.close().is_empty());
}

#[test]
fn a_repository_is_loaded_used_and_unloaded() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = Worker::start();
    let weights = Weights::Folder { path: repository() };
    let model = "wan".to_owned();
    worker.say(&Command::Load {
        model: model.clone(),
        weights: weights.clone(),
        offload_text_encoder: false,
    });
    assert!(matches!(worker.next(), Event::Loading { model, .. } if model == "wan2.1-t2v-1.3b"));
    let Event::Loaded { bytes, .. } = worker.next() else {
        panic!("it is not loaded")
    };
    let order = Order {
        weights: weights.clone(),
        vae_tiling: true,
        ..toy(folder.path(), "real")
    };
    worker.generate(&order);
    assert!(matches!(
        worker.until_end("real").last(),
        Some(Event::Done { .. })
    ));
    for freed in [bytes, 0] {
        worker.say(&Command::Unload {
            model: model.clone(),
            weights: weights.clone(),
        });
        assert!(matches!(worker.next(), Event::Unloaded { bytes, .. } if bytes == freed));
    }
}

#[test]
fn a_cancel_is_heard_within_a_step_and_the_next_order_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = Worker::start();
    worker.generate(&long(folder.path(), "given-up"));
    worker.generate(&toy(folder.path(), "waits"));
    worker.generate(&toy(folder.path(), "next"));
    while !matches!(worker.next(), Event::Step { step: 1, .. }) {}
    worker.cancel("waits");
    worker.cancel("nobody");
    worker.cancel("given-up");
    let heard = worker.until_end("given-up");
    assert!(matches!(heard.last(), Some(Event::Cancelled { .. })));
    // One that was told before the cancel was read, and one that was under way.
    assert!(heard.len() <= 3, "{heard:?}");
    assert_eq!(worker.next(), Event::Cancelled { id: "waits".into() });
    assert!(matches!(
        worker.until_end("next").last(),
        Some(Event::Done { .. })
    ));
    assert_eq!(files(&folder), ["next.mp4"]);
    // Its id can be used again.
    worker.generate(&toy(folder.path(), "given-up"));
    assert!(matches!(
        worker.until_end("given-up").last(),
        Some(Event::Done { .. })
    ));
}

#[test]
fn it_ends_when_its_input_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = Worker::start();
    worker.generate(&long(folder.path(), "orphan"));
    worker.generate(&long(folder.path(), "another"));
    while !matches!(worker.next(), Event::Step { .. }) {}
    worker.close();
    assert!(files(&folder).is_empty());
}

/// The parent is killed, so nobody says anything to the worker, and nobody reads what it says.
#[test]
fn it_ends_when_its_parent_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let order = Command::Generate {
        order: Box::new(long(folder.path(), "orphan")),
    };
    let script =
        "coproc W { exec \"$0\" --device cpu; }; echo $W_PID; printf '%s\\n' \"$1\" >&${W[1]}; cat <&${W[0]}";
    let mut parent = Program::new("bash")
        .args(["-c", script, WORKER, &serde_json::to_string(&order).unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("bash is there");
    let mut output = BufReader::new(parent.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let worker = format!("/proc/{}/stat", line.trim());
    let is_there = || {
        let stat = fs::read_to_string(&worker).unwrap_or_default();
        // What nobody waits for stays as a zombie, which is dead.
        stat.rsplit(") ")
            .next()
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    };
    while !line.contains("\"step\"") {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "the worker ended early");
    }
    assert!(is_there());
    parent.kill().unwrap();
    parent.wait().unwrap();
    let began = Instant::now();
    while is_there() {
        assert!(began.elapsed() < PATIENCE, "the worker goes on without a parent");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(files(&folder).is_empty());
}

#[test]
fn a_toy_is_proved_on_any_device() {
    let output = Program::new(WORKER)
        .args(["--prove", "--toy", "--device", "cpu"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    for word in ["matmul", "attention", "conv3d", "step", "decoding", "memory"] {
        assert!(said.lines().any(|line| line.starts_with(word)), "{word}: {said}");
    }
}
