//! One worker: its process, what it is told, and its end. It dies with its last handle.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as blocking;
use std::time::Duration;

use polyphony_video_worker::protocol::{self, Command, Event, Order, VERSION};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::events::{InMemory, Waiting, Which};
use super::listen::{self, LastWords};
use crate::domain::Device;
use crate::error::Error;
use crate::metrics;

/// A worker that was ready. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    device: Device,
    orders: mpsc::UnboundedSender<Command>,
    waiting: Arc<Waiting>,
    /// Why it died, when it did.
    death: watch::Receiver<Option<Arc<str>>>,
    kill: CancellationToken,
    /// It is ended in good order.
    parting: Arc<AtomicBool>,
}

/// The pipes and the process, in the hands of the task that hears it.
struct Pipes {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    last_words: LastWords,
}

/// A worker that was told to end has so long to do it.
const PARTING: Duration = Duration::from_secs(2);

// === impl Worker ===

impl Worker {
    /// Starts a worker, and waits until its device is there.
    pub(super) async fn start(program: &Path, device: &str, patience: Duration) -> Result<Self, Error> {
        let failed = |reason: String| Error::Start {
            program: program.to_owned(),
            reason,
        };
        let mut pipes = Pipes::open(program, device).map_err(|error| failed(error.to_string()))?;
        let first = tokio::time::timeout(patience, listen::event(&mut pipes.output)).await;
        let device = match first {
            Err(_) => return Err(failed(format!("it says nothing within {patience:?}"))),
            Ok(Ok(Some(Event::Ready {
                protocol,
                version,
                device,
                device_name,
                total_memory_bytes,
                free_memory_bytes,
                base_memory_bytes,
                torch_version,
                precision,
            }))) => {
                if protocol != VERSION {
                    let text = format!(
                        "it is of version {version}, which speaks protocol {protocol} and not {VERSION}"
                    );
                    return Err(failed(text));
                }
                Device {
                    name: device,
                    title: device_name,
                    total_memory_bytes,
                    free_memory_bytes,
                    base_memory_bytes,
                    precision,
                    version: format!("libtorch {torch_version}"),
                }
            }
            Ok(Ok(Some(Event::Failed { message, .. }))) => return Err(failed(message)),
            Ok(Ok(Some(other))) => return Err(failed(format!("it is not ready but says {other:?}"))),
            Ok(Ok(None)) => return Err(failed(pipes.end().await)),
            Ok(Err(error)) => return Err(failed(error.to_string())),
        };
        tracing::info!(
            device = device.name,
            title = device.title,
            "the video worker is ready"
        );
        let (orders, commands) = mpsc::unbounded_channel();
        let (died, death) = watch::channel(None);
        let (waiting, kill) = (Arc::new(Waiting::default()), CancellationToken::new());
        let parting = Arc::new(AtomicBool::new(false));
        let serving = pipes.serve(
            commands,
            Arc::clone(&waiting),
            kill.clone(),
            Arc::clone(&parting),
            died,
        );
        tokio::spawn(serving);
        Ok(Self {
            shared: Arc::new(Shared {
                device,
                orders,
                waiting,
                death,
                kill,
                parting,
            }),
        })
    }

    /// What it told of its device.
    pub(super) fn device(&self) -> &Device {
        &self.shared.device
    }

    pub(super) fn is_alive(&self) -> bool {
        self.shared.death.borrow().is_none()
    }

    /// Completes when it is no more, with why.
    pub(super) async fn died(&self) -> Arc<str> {
        self.death().await
    }

    /// As [`died`](Self::died), and holds no handle of it.
    pub(super) fn death(&self) -> impl Future<Output = Arc<str>> + Send + use<> {
        let mut death = self.shared.death.clone();
        async move {
            match death.wait_for(Option::is_some).await {
                Ok(reason) => reason.clone().unwrap_or_default(),
                Err(_) => "it was let go".into(),
            }
        }
    }

    /// Ends it, because this process ends; that is no death.
    pub(super) fn stop(&self) {
        self.shared.parting.store(true, Ordering::Relaxed);
        self.shared.kill.cancel();
    }

    /// Ends it now, whatever it does.
    pub(super) fn kill(&self) {
        self.shared.kill.cancel();
    }

    /// Brings a model into memory, or only checks it, for its parts take turns.
    pub(super) async fn load(&self, which: Which, offload_text_encoder: bool) -> Result<InMemory, Error> {
        let loaded = self.shared.waiting.load(which.clone());
        let (model, weights) = which;
        self.tell(Command::Load {
            model,
            weights,
            offload_text_encoder,
        });
        match loaded.await {
            Ok(result) => result,
            Err(_) => Err(Error::Died(self.died().await.to_string())),
        }
    }

    /// Takes a model out of memory; what is received, or a sender that is gone, is the end of it.
    pub(super) fn unload(&self, which: Which) -> blocking::Receiver<()> {
        let gone = self.shared.waiting.unload(which.clone());
        let (model, weights) = which;
        self.tell(Command::Unload { model, weights });
        gone
    }

    /// Makes a video; its events come until one of them ends it, or until the worker is dead.
    pub(super) fn generate(&self, order: Order) -> mpsc::UnboundedReceiver<Event> {
        let events = self.shared.waiting.order(&order.id);
        self.tell(Command::Generate {
            order: Box::new(order),
        });
        events
    }

    /// Gives a video up.
    pub(super) fn cancel(&self, id: &str) {
        self.tell(Command::Cancel { id: id.to_owned() });
    }

    /// Nobody waits for the events of this video any more.
    pub(super) fn forget(&self, id: &str) {
        self.shared.waiting.forget(id);
    }

    fn tell(&self, command: Command) {
        if self.shared.orders.send(command).is_err() || !self.is_alive() {
            // It is dead: whoever waits for an answer must hear so.
            self.shared.waiting.end();
        }
    }
}

// === impl Pipes ===

impl Pipes {
    fn open(program: &Path, device: &str) -> std::io::Result<Self> {
        let mut child = tokio::process::Command::new(program)
            .args(["--device", device])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let missing = || std::io::Error::other("a pipe is missing");
        let input = child.stdin.take().ok_or_else(missing)?;
        let output = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        let last_words = LastWords::default();
        tokio::spawn(listen::log(
            child.stderr.take().ok_or_else(missing)?,
            last_words.clone(),
        ));
        Ok(Self {
            child,
            input,
            output,
            last_words,
        })
    }

    /// Passes commands in and events out until one side ends.
    async fn serve(
        mut self,
        mut commands: mpsc::UnboundedReceiver<Command>,
        waiting: Arc<Waiting>,
        kill: CancellationToken,
        parting: Arc<AtomicBool>,
        died: watch::Sender<Option<Arc<str>>>,
    ) {
        // Whole lines alone are waited for at once: a future that is dropped would lose half of one.
        let (events, mut heard) = mpsc::channel(64);
        let mut output = self.output;
        let hearing = tokio::spawn(async move {
            loop {
                let event = listen::event(&mut output).await;
                let more = matches!(event, Ok(Some(_)));
                if events.send(event).await.is_err() || !more {
                    return;
                }
            }
        });
        let mut wanted = true;
        let said = loop {
            tokio::select! {
                event = heard.recv() => match event {
                    Some(Ok(Some(event))) => waiting.tell(event),
                    Some(Ok(None)) | None => break None,
                    Some(Err(error)) => break Some(format!("it said what is no event: {error}")),
                },
                command = commands.recv() => {
                    let Some(command) = command else {
                        // Nobody has it any more.
                        wanted = false;
                        break None;
                    };
                    // A command that does not fit is refused where it is made: orders are checked before.
                    let Ok(line) = protocol::line(&command) else { continue };
                    // A worker that hangs reads nothing either, and an order may be more than its pipe holds.
                    let written = tokio::select! {
                        written = self.input.write_all(&line) => written,
                        () = kill.cancelled() => break Some("it was killed".to_owned()),
                    };
                    if let Err(error) = written {
                        tracing::debug!(%error, "the video worker does not listen");
                    }
                }
                () = kill.cancelled() => break Some("it was killed".to_owned()),
            }
        };
        hearing.abort();
        drop(self.input);
        let ended = end(&mut self.child, said.is_some()).await;
        let words = self.last_words.text();
        let mut reason = said.unwrap_or(ended);
        if !words.is_empty() {
            reason = format!("{reason}; its last words: {words}");
        }
        if wanted && !parting.load(Ordering::Relaxed) {
            metrics::died();
            tracing::warn!(reason, "the video worker is no more");
        } else {
            tracing::info!("the video worker was stopped");
        }
        died.send_replace(Some(reason.into()));
        waiting.end();
    }

    /// How it ended, when it did before it was ready.
    async fn end(mut self) -> String {
        drop(self.input);
        let ended = end(&mut self.child, false).await;
        // What it wrote before its end may still be in the pipe.
        tokio::time::sleep(Duration::from_millis(50)).await;
        match self.last_words.text() {
            words if words.is_empty() => ended,
            words => format!("{ended}; {words}"),
        }
    }
}

/// Waits for its end, and makes it if it does not come.
async fn end(child: &mut Child, now: bool) -> String {
    if !now && let Ok(Ok(status)) = tokio::time::timeout(PARTING, child.wait()).await {
        return status.to_string();
    }
    match child.kill().await {
        Ok(()) => "it did not end by itself, and was killed".to_owned(),
        Err(error) => format!("it could not be killed: {error}"),
    }
}
