//! How much a service does at once: a place for each stream, a worker for each request, and a queue in front of the
//! workers.
//!
//! Streams are never queued: who speaks cannot wait. A refusal says so at once and names the limit. The admission of the
//! process counts calls; this counts what one service has few of: threads and the memory of a model at work.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use polyphony_error::Fault;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Streams open now. Label `service`.
const STREAMS: &str = "polyphony_streams_open";
/// Streams refused because every place was taken. Label `service`.
const STREAMS_REFUSED: &str = "polyphony_streams_refused_total";
/// When to try again.
const RETRY: Duration = Duration::from_secs(1);

/// The places of a service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Places {
    service: &'static str,
    streams: Arc<Semaphore>,
    most_streams: usize,
    workers: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    most_queued: usize,
}

/// Who waits for a worker, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// A caller waits: refused when the queue is full.
    Queue,
    /// Work that was let in already, as a batch, waits as long as it takes.
    Endless,
}

/// The right to be a stream; given back when dropped.
#[derive(Debug)]
pub struct StreamPlace {
    _permit: OwnedSemaphorePermit,
    service: &'static str,
}

/// The right to work; given back when dropped.
#[derive(Debug)]
pub struct WorkerPlace {
    _permit: OwnedSemaphorePermit,
    /// How long it was waited for.
    pub waited: Duration,
}

/// What a key asks for, where 0 stands for so many `each` core.
pub fn or_each_core(asked: usize, each: usize) -> usize {
    match asked {
        0 => each * thread::available_parallelism().map_or(1, NonZeroUsize::get),
        asked => asked,
    }
}

// === impl Places ===

impl Places {
    /// So many of each. `service` is the section whose keys `max_streams`, `workers` and `max_queue` say so.
    pub fn new(service: &'static str, streams: usize, workers: usize, queued: usize) -> Self {
        Self {
            service,
            streams: Arc::new(Semaphore::new(streams)),
            most_streams: streams,
            workers: Arc::new(Semaphore::new(workers)),
            queue: Arc::new(Semaphore::new(queued)),
            most_queued: queued,
        }
    }

    /// A place for a stream, now or not at all.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED `STREAMS_FULL`.
    pub fn stream(&self) -> Result<StreamPlace, Fault> {
        let service = self.service;
        let permit = Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            counter!(STREAMS_REFUSED, "service" => service).increment(1);
            let most = self.most_streams;
            let key = format!("{service}.max_streams");
            let text = format!("all {most} streams are taken ({key}); try again, or another server");
            Fault::exhausted("STREAMS_FULL", key, text, Some(RETRY))
        })?;
        gauge!(STREAMS, "service" => service).increment(1);
        Ok(StreamPlace {
            _permit: permit,
            service,
        })
    }

    /// A worker, now or when it is our turn.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED `QUEUE_FULL`.
    pub async fn worker(&self, patience: Patience) -> Result<WorkerPlace, Fault> {
        let workers = Arc::clone(&self.workers);
        if let Ok(permit) = Arc::clone(&workers).try_acquire_owned() {
            return Ok(WorkerPlace {
                _permit: permit,
                waited: Duration::ZERO,
            });
        }
        let queued = || {
            self.queue.try_acquire().map_err(|_| {
                let (most, key) = (self.most_queued, format!("{}.max_queue", self.service));
                let text = format!("{most} requests wait already ({key}); try again, or another server");
                Fault::exhausted("QUEUE_FULL", key, text, Some(RETRY))
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
    pub fn streams(&self) -> (usize, usize) {
        (
            self.most_streams,
            self.most_streams - self.streams.available_permits(),
        )
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        gauge!(STREAMS, "service" => self.service).decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use polyphony_error::Kind;

    use super::*;

    #[test]
    fn one_stream_too_many_is_refused_until_one_ends() {
        let places = Places::new("asr", 1, 1, 1);
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
        let places = Places::new("asr", 1, 1, 1);
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
        assert!(endless.is_none(), "what was let in is not refused");
        drop(first);
        waiting.await.expect("runs").expect("a worker");
    }
}
