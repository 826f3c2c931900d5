//! A stand-in for the worker: it speaks the worker's protocol, computes nothing, and misbehaves as the prompt says.
//!
//! It is this test binary, called by a script for one test that does nothing unless it is told so. What the test harness
//! prints must not come between its lines, so those go to another file descriptor.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use polyphony_video_worker::protocol::{
    self, Command, Event, FailureKind, Order, Part, Precision, Stage, Timings, VERSION,
};
use sha2::{Digest, Sha256};

const PIPE: &str = "POLYPHONY_STAND_IN_PIPE";
const NOTES: &str = "POLYPHONY_STAND_IN_NOTES";

/// A script that starts the stand-in; what it did is noted in `notes` in this folder, a line each.
pub(crate) fn script(folder: &Path) -> PathBuf {
    let path = folder.join("stand-in-worker");
    let program = std::env::current_exe().expect("a test");
    let text = format!(
        "#!/bin/sh\nexport {PIPE}=/proc/self/fd/3 {NOTES}={}\nexec 3>&1 1>/dev/null\n\
         exec {} stand_in::worker --exact --nocapture --test-threads=1\n",
        folder.join("notes").display(),
        program.display()
    );
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
    path
}

/// Puts a worker that does not start in its place; gives how often that was tried.
pub(crate) fn broken(folder: &Path) -> impl Fn() -> usize + use<> {
    let tries = folder.join("tries");
    let text = format!(
        "#!/bin/sh\necho >> {}\necho no such driver >&2\nexit 1\n",
        tries.display()
    );
    fs::write(folder.join("stand-in-worker"), text).expect("written");
    move || fs::read_to_string(&tries).map_or(0, |text| text.lines().count())
}

/// What the stand-ins of a folder did.
pub(crate) fn notes(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("notes")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Whether there is a file of this name beside the script, which tells every stand-in how to misbehave.
fn is_told(out: &Out, what: &str) -> bool {
    out.notes.with_file_name(what).exists()
}

/// What a video is made of: the same for the same order.
pub(crate) fn bytes_of(seed: u64, prompt: &str) -> Vec<u8> {
    format!("{seed} {prompt}\n").repeat(5_000).into_bytes()
}

/// The process.
#[test]
#[expect(clippy::exit, reason = "a process that ends when whoever started it does")]
fn worker() {
    let Some(pipe) = std::env::var_os(PIPE) else {
        return;
    };
    let out = Out {
        pipe: Arc::new(Mutex::new(
            File::options().write(true).open(pipe).expect("a pipe"),
        )),
        notes: PathBuf::from(std::env::var_os(NOTES).expect("a file")),
    };
    out.note("started");
    out.tell(&Event::Ready {
        protocol: VERSION,
        version: "stand-in".to_owned(),
        device: "cpu".to_owned(),
        device_name: "a stand-in".to_owned(),
        total_memory_bytes: 64 << 30,
        free_memory_bytes: 60 << 30,
        base_memory_bytes: 1 << 30,
        torch_version: "0".to_owned(),
        precision: Precision::Fp32,
    });
    let cancelled = Arc::new(Mutex::new(HashSet::new()));
    let (orders, commands) = mpsc::channel();
    let (heard, reader) = (Arc::clone(&cancelled), out.clone());
    thread::spawn(move || {
        let mut from = BufReader::new(std::io::stdin());
        while let Ok(Some(command)) = protocol::read::<Command>(&mut from) {
            match command {
                Command::Cancel { id } => drop(heard.lock().expect("whole").insert(id)),
                command => orders.send(command).expect("somebody works"),
            }
            while is_told(&reader, "read-no-more") {
                thread::sleep(Duration::from_millis(10));
            }
        }
        // Whoever started it is gone.
        std::process::exit(0);
    });
    for command in commands {
        match command {
            Command::Load {
                model,
                weights,
                offload_text_encoder,
            } => {
                out.note(if offload_text_encoder {
                    "load in turns"
                } else {
                    "load"
                });
                let (name, told) = (model.clone(), weights.clone());
                out.tell(&Event::Loading { model, weights });
                thread::sleep(Duration::from_millis(20));
                while is_told(&out, "hang-while-loading") {
                    thread::sleep(Duration::from_millis(10));
                }
                out.tell(&Event::Loaded {
                    model: name,
                    weights: told,
                    bytes: 1_000,
                    seconds: 0.02,
                });
            }
            Command::Unload { model, weights } => {
                out.note("unload");
                out.tell(&Event::Unloaded {
                    model,
                    weights,
                    bytes: 1_000,
                });
            }
            Command::Generate { order } => {
                let is_cancelled = || cancelled.lock().expect("whole").contains(&order.id);
                generate(&out, &order, &is_cancelled);
            }
            Command::Cancel { .. } => {}
        }
    }
}

#[expect(clippy::exit, reason = "a worker that dies, as it was asked to")]
fn generate(out: &Out, order: &Order, is_cancelled: &dyn Fn() -> bool) {
    let id = || order.id.clone();
    let says = |word: &str| order.prompt.split_whitespace().any(|said| said == word);
    out.note(&format!("generate {}", order.prompt));
    let stage = |stage| out.tell(&Event::Stage { id: id(), stage });
    stage(Stage::TextEncoding);
    if order.offload_text_encoder {
        out.tell(&Event::PartLoaded {
            id: id(),
            part: Part::TextEncoder,
            bytes: 600,
            seconds: 2.5,
        });
    }
    let first = || {
        File::options()
            .create_new(true)
            .write(true)
            .open(out.notes.with_extension("died"))
    };
    if says("poison") || (says("die-once") && first().is_ok()) {
        #[expect(clippy::print_stderr, reason = "the last words of a worker that dies")]
        {
            eprintln!("a stand-in's last words");
        }
        std::process::exit(7);
    }
    if says("garbage") {
        out.write(b"this is no event\n");
    }
    if says("hang") {
        thread::sleep(Duration::from_secs(3_600));
    }
    if says("fail") {
        return out.tell(&Event::Failed {
            id: Some(id()),
            model: None,
            kind: FailureKind::Device,
            message: "the device has not enough memory; make it smaller".to_owned(),
        });
    }
    stage(Stage::Denoising);
    for step in 1..=order.num_inference_steps {
        if is_cancelled() && !says("deaf") {
            out.note("cancelled");
            return out.tell(&Event::Cancelled { id: id() });
        }
        let pause = match (says("slow"), says("steady")) {
            (true, _) => 100,
            (_, true) => 15,
            _ => 5,
        };
        thread::sleep(Duration::from_millis(pause));
        out.tell(&Event::Step {
            id: id(),
            step,
            of: order.num_inference_steps,
            seconds: 0.005,
            memory_bytes: 5_000,
        });
        if order.preview_every_steps > 0 && step.is_multiple_of(order.preview_every_steps) {
            let folder = order.preview_folder.clone().expect("a folder");
            let path = folder.join(format!("{step}.jpg"));
            fs::write(&path, format!("preview {step}")).expect("written");
            out.tell(&Event::Preview {
                id: id(),
                step,
                frame: 0,
                path,
            });
        }
    }
    stage(Stage::Decoding);
    stage(Stage::Encoding);
    let bytes = bytes_of(order.seed, &order.prompt);
    fs::write(&order.output, &bytes).expect("written");
    let digest = Sha256::digest(if says("lie") { &b"lies"[..] } else { &bytes });
    out.note(&format!("done {}", order.prompt));
    out.tell(&Event::Done {
        id: id(),
        size_bytes: bytes.len() as u64,
        sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        frames: order.num_frames,
        peak_memory_bytes: 9_000,
        timings: Timings {
            denoising: 0.04,
            ..Timings::default()
        },
    });
}

/// Where it tells, and where it notes what it does.
#[derive(Clone)]
struct Out {
    pipe: Arc<Mutex<File>>,
    notes: PathBuf,
}

impl Out {
    fn tell(&self, event: &Event) {
        self.write(&protocol::line(event).expect("a line"));
    }

    fn write(&self, line: &[u8]) {
        if self.pipe.lock().expect("whole").write_all(line).is_err() {
            std::process::exit(0);
        }
    }

    fn note(&self, text: &str) {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(&self.notes)
            .expect("a file");
        writeln!(file, "{text}").expect("written");
    }
}
