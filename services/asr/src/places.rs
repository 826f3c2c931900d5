//! How much is done at once: a place for each stream, a worker for each recording, and a queue in front of the workers.
//!
//! Streams are never queued: who speaks cannot wait. A refusal says so at once and names the limit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use polyphony_error::Fault;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::{self, OpenStream};

/// The places of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    streams: Arc<Semaphore>,
    most_streams: usize,
    workers: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    most_queued: usize,
}

/// Who waits for a worker, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// A caller waits: refused when the queue is full.
    Queue,
    /// A batch, which was let in already, waits as long as it takes.
    Endless,
}

/// The right to be a stream; given back when dropped.
#[derive(Debug)]
pub(crate) struct StreamPlace {
    _permit: OwnedSemaphorePermit,
    _open: OpenStream,
}

/// The right to work on a recording; given back when dropped.
#[derive(Debug)]
pub(crate) struct WorkerPlace {
    _permit: OwnedSemaphorePermit,
    /// How long it was waited for.
    pub(crate) waited: Duration,
}

const RETRY: Duration = Duration::from_secs(1);

// === impl Places ===

impl Places {
    pub(crate) fn new(streams: usize, workers: usize, queued: usize) -> Self {
        Self {
            streams: Arc::new(Semaphore::new(streams)),
            most_streams: streams,
            workers: Arc::new(Semaphore::new(workers)),
            queue: Arc::new(Semaphore::new(queued)),
            most_queued: queued,
        }
    }

    /// A place for a stream, now or not at all.
    pub(crate) fn stream(&self) -> Result<StreamPlace, Fault> {
        let permit = Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            metrics::stream_refused();
            let most = self.most_streams;
            let text =
                format!("all {most} streams are taken (asr.max_streams); try again, or another server");
            Fault::exhausted("STREAMS_FULL", "asr.max_streams", text, Some(RETRY))
        })?;
        Ok(StreamPlace {
            _permit: permit,
            _open: metrics::stream_opened(),
        })
    }

    /// A worker, now or when it is our turn.
    pub(crate) async fn worker(&self, patience: Patience) -> Result<WorkerPlace, Fault> {
        let workers = Arc::clone(&self.workers);
        if let Ok(permit) = Arc::clone(&workers).try_acquire_owned() {
            return Ok(WorkerPlace {
                _permit: permit,
                waited: Duration::ZERO,
            });
        }
        let queued = || {
            self.queue.try_acquire().map_err(|_| {
                let most = self.most_queued;
                let text =
                    format!("{most} recordings wait already (asr.max_queue); try again, or another server");
                Fault::exhausted("QUEUE_FULL", "asr.max_queue", text, Some(RETRY))
            })
        };
        let _queued = (patience == Patience::Queue).then(queued).transpose()?;
        let began = Instant::now();
        let permit = workers.acquire_owned().await.map_err(Fault::internal)?;
        Ok(WorkerPlace {
            _permit: permit,
            waited: began.elapsed(),
        })
    }

    /// Streams at once, and how many there are.
    pub(crate) fn streams(&self) -> (usize, usize) {
        (
            self.most_streams,
            self.most_streams - self.streams.available_permits(),
        )
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use polyphony_error::Kind;

    use super::*;

    #[test]
    fn one_stream_too_many_is_refused_until_one_ends() {
        let places = Places::new(1, 1, 1);
        let first = places.stream().expect("a place");
        let refused = places.stream().expect_err("no place");
        assert_eq!(
            (refused.kind, refused.reason),
            (Kind::ResourceExhausted, "STREAMS_FULL")
        );
        assert!(refused.quota.is_some() && refused.retry_after.is_some());
        drop(first);
        assert_eq!(places.streams(), (1, 0));
        places.stream().expect("a place again");
    }

    #[tokio::test]
    async fn the_queue_has_an_end() {
        let places = Places::new(1, 1, 1);
        let first = places.worker(Patience::Queue).await.expect("a worker");
        let waiting = tokio::spawn({
            let places = places.clone();
            async move { places.worker(Patience::Queue).await }
        });
        while places.queue.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = places.worker(Patience::Queue).await.expect_err("no place");
        assert_eq!(refused.reason, "QUEUE_FULL");
        let endless = places.worker(Patience::Endless).now_or_never();
        assert!(endless.is_none(), "a batch is not refused");
        drop(first);
        waiting.await.expect("runs").expect("a worker");
    }
}
