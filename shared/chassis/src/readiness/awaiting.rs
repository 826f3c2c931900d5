//! Waits for what a service needs and may not have come yet, as its model; and follows what may go again.

use std::future::Future;
use std::time::Duration;

use super::{Guard, Readiness};

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

/// Lets the method of this name wait whenever `ready` lacks something, for as long as it is asked.
pub(crate) async fn follow<F, R>(readiness: Readiness, method: String, what: String, ready: F)
where
    F: Fn() -> R + Send,
    R: Future<Output = Result<(), String>> + Send,
{
    let (mut told, mut waits) = (String::new(), Some(readiness.guard(&method, what)));
    loop {
        match ready().await {
            Ok(()) => {
                waits = None;
                told.clear();
            }
            Err(remedy) if remedy != told => {
                tracing::warn!(method, %remedy, "not ready");
                waits
                    .get_or_insert_with(|| readiness.guard(&method, remedy.clone()))
                    .say(remedy.clone());
                told = remedy;
            }
            Err(_) => {}
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_goes_again_is_waited_for_again() {
        let readiness = Readiness::new();
        readiness.register("a");
        let lacks = Arc::new(Mutex::new(None::<String>));
        let asked = Arc::clone(&lacks);
        let ready = move || {
            let lacks = asked.lock().expect("whole").clone();
            async move { lacks.map_or(Ok(()), Err) }
        };
        let following = follow(
            readiness.clone(),
            "a/Make".to_owned(),
            "the worker".to_owned(),
            ready,
        );
        let following = tokio::spawn(following);
        for lack in [None, Some("it died"), Some("it does not start"), None] {
            *lacks.lock().expect("whole") = lack.map(str::to_owned);
            tokio::time::sleep(LOOK * 2).await;
            let told: Vec<String> = lack.into_iter().map(str::to_owned).collect();
            assert_eq!(readiness.awaited("a/Make"), told);
            assert_eq!(readiness.is_serving("a/Make"), Some(lack.is_none()));
            assert_eq!(readiness.is_serving("a"), Some(true));
        }
        following.abort();
    }
}
