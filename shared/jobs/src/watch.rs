//! Being told how a job is, each time that it is otherwise.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::Error;
use crate::job::Job;
use crate::queue::Inner;

/// How a job is now, then each change until it is over. Changes that come faster than they are read are told as one.
#[derive(Debug)]
pub struct Watch {
    queue: Arc<Inner>,
    id: String,
    changes: watch::Receiver<u64>,
    /// What holders say, which concerns those alone that are held.
    said: watch::Receiver<u64>,
    last: Option<Job>,
}

/// Another process may have changed it.
const LOOK: Duration = Duration::from_secs(1);
/// A watcher hears at least this often: a stream on which nothing moves is taken for a dead one.
const REPEAT: Duration = Duration::from_secs(60);

// === impl Watch ===

impl Watch {
    pub(crate) fn new(queue: Arc<Inner>, id: String) -> Self {
        let (changes, said) = (queue.subscribe(), queue.hear());
        Self {
            queue,
            id,
            changes,
            said,
            last: None,
        }
    }

    /// The job, when it is otherwise than it was told last; none when it was over then. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// [`Error::Unknown`] when it was deleted.
    pub async fn next(&mut self) -> Result<Option<Job>, Error> {
        if self.last.as_ref().is_some_and(|last| last.state.is_over()) {
            return Ok(None);
        }
        let repeat = tokio::time::Instant::now() + REPEAT;
        loop {
            self.changes.borrow_and_update();
            self.said.borrow_and_update();
            let job = self.queue.job(&self.id).await?;
            let is_held = job.state.is_held();
            let news = self.last.as_ref().is_none_or(|last| is_news(last, &job));
            if news || tokio::time::Instant::now() >= repeat {
                self.last = Some(job.clone());
                return Ok(Some(job));
            }
            tokio::select! {
                _ = self.changes.changed() => {}
                _ = self.said.changed(), if is_held => {}
                () = sleep(LOOK) => {}
            }
        }
    }
}

/// A heartbeat is none, nor is a wait that is shorter by the second that has passed.
fn is_news(last: &Job, now: &Job) -> bool {
    let seen = |job: &Job| {
        let mut seen = job.clone();
        seen.updated = std::time::UNIX_EPOCH;
        if let Some(place) = &mut seen.place {
            place.ahead = None;
        }
        seen
    };
    seen(last) != seen(now)
}
