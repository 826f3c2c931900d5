//! Tells of every change of the models of this process.

use std::collections::BTreeMap;

use polyphony_proto::models::v1 as pb;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Models;

type Messages = mpsc::Sender<Result<pb::WatchModelsResponse, Status>>;

impl Models {
    /// All models now, then those that change, until nobody listens any more.
    pub(super) fn start_watch(
        &self,
        task: String,
    ) -> ReceiverStream<Result<pb::WatchModelsResponse, Status>> {
        let (messages, receiver) = mpsc::channel(4);
        let models = self.clone();
        tokio::spawn(async move {
            let watching = models.watch(&task, &messages);
            tokio::select! {
                failure = watching => drop(messages.send(Err(failure)).await),
                () = messages.closed() => {}
            }
        });
        ReceiverStream::new(receiver)
    }

    /// Ends only when the models cannot be read.
    async fn watch(&self, task: &str, messages: &Messages) -> Status {
        let mut in_memory = self.residents.watch();
        let mut pulls = self.pulls.watch();
        let mut told: Option<BTreeMap<String, pb::Model>> = None;
        loop {
            in_memory.borrow_and_update();
            pulls.borrow_and_update();
            let mut now = match self.all().await {
                Ok(now) => now,
                Err(failure) => return failure,
            };
            now.retain(|_, model| task.is_empty() || model.task == task);
            let is_new = |name: &String, model: &pb::Model| match &told {
                Some(told) => told.get(name) != Some(model),
                None => true,
            };
            let changed: Vec<_> = now
                .iter()
                .filter(|(name, model)| is_new(name, model))
                .map(|(_, model)| model.clone())
                .collect();
            if !changed.is_empty() || told.is_none() {
                drop(
                    messages
                        .send(Ok(pb::WatchModelsResponse { models: changed }))
                        .await,
                );
            }
            told = Some(now);
            tokio::select! {
                Ok(()) = in_memory.changed() => {}
                Ok(()) = pulls.changed() => {}
            }
        }
    }
}
