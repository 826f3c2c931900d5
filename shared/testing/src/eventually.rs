//! Patience: waits for a condition instead of for a time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

const STEP: Duration = Duration::from_millis(5);

/// Waits until `condition` holds.
///
/// # Panics
/// If it does not within `deadline`; `what` ends the sentence "waited in vain for …".
pub async fn eventually(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain for {what} ({deadline:?})");
        sleep(STEP).await;
    }
}

/// Waits until `attempt` gives something, and gives that.
///
/// # Panics
/// If it does not within `deadline`; `what` ends the sentence "waited in vain for …".
pub async fn eventually_some<T>(
    deadline: Duration,
    what: &str,
    mut attempt: impl AsyncFnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + deadline;
    loop {
        // An attempt may itself hang, as a call to a server that does not answer.
        match tokio::time::timeout_at(end, attempt()).await {
            Ok(Some(value)) => return value,
            Ok(None) if Instant::now() < end => sleep(STEP).await,
            _ => panic!("waited in vain for {what} ({deadline:?})"),
        }
    }
}
