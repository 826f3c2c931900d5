//! Pulls in progress: one task a call, which ends with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use polyphony_error::Fault;
use polyphony_models::{ModelRef, Progress, PullOptions};
use polyphony_proto::models::v1 as pb;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Models, convert};

/// What is being pulled now, by name, and how many times.
#[derive(Debug, Clone)]
pub(super) struct Pulls {
    now: Arc<Mutex<BTreeMap<String, Vec<watch::Receiver<Progress>>>>>,
    changes: watch::Sender<u64>,
}

/// One pull; gone when dropped.
struct Entry {
    pulls: Pulls,
    name: String,
    progress: watch::Receiver<Progress>,
}

/// People and progress bars see no more than this.
const REPORT_EVERY: Duration = Duration::from_millis(100);

// === impl Pulls ===

impl Default for Pulls {
    fn default() -> Self {
        Self {
            now: Arc::default(),
            changes: watch::Sender::new(0),
        }
    }
}

impl Pulls {
    /// The state of each pull.
    pub(super) fn now(&self) -> Vec<(String, Progress)> {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.iter()
            .filter_map(|(name, pulls)| Some((name.clone(), pulls.first()?.borrow().clone())))
            .collect()
    }

    /// Counts beginnings and ends.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn enter(&self, name: String, progress: watch::Receiver<Progress>) -> Entry {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.entry(name.clone()).or_default().push(progress.clone());
        drop(now);
        self.changes.send_modify(|count| *count += 1);
        Entry {
            pulls: self.clone(),
            name,
            progress,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut now = self.pulls.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pulls) = now.get_mut(&self.name) {
            pulls.retain(|progress| !progress.same_channel(&self.progress));
            if pulls.is_empty() {
                now.remove(&self.name);
            }
        }
        drop(now);
        self.pulls.changes.send_modify(|count| *count += 1);
    }
}

// === impl Models ===

impl Models {
    /// Pulls a model and tells of it until it is here, it failed, or nobody listens any more.
    pub(super) fn start_pull(
        &self,
        model: ModelRef,
        options: PullOptions,
    ) -> ReceiverStream<Result<pb::PullModelResponse, Status>> {
        let (messages, receiver) = mpsc::channel(4);
        let models = self.clone();
        tokio::spawn(async move {
            // When the caller goes away the pull is dropped here; what has arrived stays for the next one.
            tokio::select! {
                last = models.pull(&model, &options, &messages) => drop(messages.send(last).await),
                () = messages.closed() => {}
            }
        });
        ReceiverStream::new(receiver)
    }

    async fn pull(
        &self,
        model: &ModelRef,
        options: &PullOptions,
        messages: &mpsc::Sender<Result<pb::PullModelResponse, Status>>,
    ) -> Result<pb::PullModelResponse, Status> {
        let (sender, mut progress) = watch::channel(Progress::default());
        let entry = self.pulls.enter(self.one(model).await?.model, progress.clone());
        let mut pull = Box::pin(self.puller.pull(model, options, &sender));
        let mut report = tokio::time::interval(REPORT_EVERY);
        let installed = loop {
            tokio::select! {
                installed = &mut pull => break installed.map_err(Fault::from)?,
                _ = report.tick() => {
                    // A reader that is slow misses a step and holds nothing up.
                    if progress.has_changed().unwrap_or(false) {
                        drop(messages.try_send(Ok(convert::progress(&progress.borrow_and_update()))));
                    }
                }
            }
        };
        drop(pull);
        drop(entry);
        let mut last = convert::progress(&progress.borrow());
        last.set_state(pb::ModelState::Available);
        last.model = Some(self.one(&installed.model).await?);
        Ok(last)
    }
}
