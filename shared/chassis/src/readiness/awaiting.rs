//! Waits for what a service needs and may not have come yet, as its model.

use std::future::Future;
use std::time::Duration;

use super::Guard;

/// How often it is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Holds the guard until `ready` finds all that is needed; what it lacks, with the remedy, is what readiness says
/// meanwhile.
pub(crate) async fn await_ready<F, R>(guard: Guard, ready: F)
where
    F: Fn() -> R + Send,
    R: Future<Output = Result<(), String>> + Send,
{
    let mut told = String::new();
    while let Err(remedy) = ready().await {
        if remedy != told {
            tracing::warn!(%remedy, "not ready");
            guard.say(remedy.clone());
            told = remedy;
        }
        tokio::time::sleep(LOOK).await;
    }
}
