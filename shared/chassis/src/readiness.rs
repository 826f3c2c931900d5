//! Whether each service can do its work: a set of named conditions that are still awaited.
//!
//! Whoever a service waits for (a model that loads, a warm-up) holds a [`Guard`]; when the last one is dropped the
//! service is SERVING, and a new guard takes it back (the device died). Handlers never ask: a layer refuses calls
//! while anything is awaited. `grpc.health.v1` and `/readyz` are two views of the same set. Draining is kept apart,
//! because a draining process says NOT_SERVING and still answers.
//!
//! A method may wait for what the rest of its service does without. It has a name of its own in health, that of its path
//! (`polyphony.video.v1.VideoService/GenerateVideo`), and holds up nothing else: the service serves, the process is ready.

mod awaiting;
mod health;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) use awaiting::{await_ready, follow};
pub use health::HealthService;

/// The conditions of all services of a process. Clones share them.
#[derive(Debug, Clone)]
pub struct Readiness {
    state: Arc<watch::Sender<State>>,
    born: Instant,
}

/// One awaited condition; dropping it clears it.
#[derive(Debug)]
#[must_use = "dropping the guard says that the condition is met"]
pub struct Guard {
    readiness: Readiness,
    service: Arc<str>,
    id: u64,
}

#[derive(Debug, Default)]
struct State {
    services: BTreeMap<Arc<str>, BTreeMap<u64, String>>,
    next: u64,
    starting: bool,
    draining: bool,
}

// === impl Readiness ===

impl Readiness {
    /// No service, nothing awaited: the process as a whole is SERVING.
    pub fn new() -> Self {
        Self {
            state: Arc::new(watch::Sender::new(State::default())),
            born: Instant::now(),
        }
    }

    /// Makes the service known, with nothing awaited.
    pub fn register(&self, service: &str) {
        self.state.send_if_modified(|state| {
            let new = !state.services.contains_key(service);
            if new {
                state.services.insert(Arc::from(service), BTreeMap::new());
            }
            new
        });
    }

    /// From now until the guard is dropped, `service` (its full gRPC name) waits for `what`, words that complete
    /// "waiting for ...". The empty name stands for the process: every service waits. That of a method holds up nothing else,
    /// and its calls are not refused here.
    pub fn guard(&self, service: &str, what: impl Into<String>) -> Guard {
        let (what, service): (String, Arc<str>) = (what.into(), Arc::from(service));
        let mut id = 0;
        self.state.send_modify(|state| {
            id = state.next;
            state.next += 1;
            let awaited = state.services.entry(Arc::clone(&service)).or_default();
            awaited.insert(id, what);
        });
        Guard {
            readiness: self.clone(),
            service,
            id,
        }
    }

    /// Says NOT_SERVING until [`Readiness::started`]: what a program waits for is not known before it was built.
    pub fn starting(&self) {
        self.state
            .send_if_modified(|state| !std::mem::replace(&mut state.starting, true));
    }

    /// From now on the conditions decide.
    pub fn started(&self) {
        self.state
            .send_if_modified(|state| std::mem::replace(&mut state.starting, false));
    }

    /// Whether the program is still being built.
    pub fn is_starting(&self) -> bool {
        self.state.borrow().starting
    }

    /// Says NOT_SERVING for everything, for good.
    pub fn drain(&self) {
        self.state
            .send_if_modified(|state| !std::mem::replace(&mut state.draining, true));
    }

    /// Whether [`Readiness::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.state.borrow().draining
    }

    /// What is awaited, as (service, what), in the order of names.
    pub fn not_ready(&self) -> Vec<(String, String)> {
        self.all_of(|name| !is_method(name))
    }

    /// What methods wait for that holds up nothing else, as (method, what), in the order of names.
    pub fn methods_not_ready(&self) -> Vec<(String, String)> {
        self.all_of(is_method)
    }

    fn all_of(&self, wanted: fn(&str) -> bool) -> Vec<(String, String)> {
        let state = self.state.borrow();
        let all = state.services.iter().filter(|(name, _)| wanted(name));
        all.flat_map(|(name, awaited)| awaited.values().map(move |what| (name.to_string(), what.clone())))
            .collect()
    }

    /// What `service` waits for, the process's own conditions included; empty if nothing.
    pub fn awaited(&self, service: &str) -> Vec<String> {
        self.state.borrow().awaited(service).cloned().collect()
    }

    /// Whether `service` ("" is the whole process) is SERVING; `None` if there is no such service.
    pub fn is_serving(&self, service: &str) -> Option<bool> {
        self.state.borrow().is_serving(service)
    }

    /// Waits until no condition is left in the whole process.
    pub async fn ready(&self) {
        let mut changes = self.state.subscribe();
        // The sender lives in `self`, so the channel cannot close.
        let waited = changes
            .wait_for(|state| !state.starting && state.is_clear())
            .await;
        drop(waited);
    }

    fn subscribe(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Guard ===

impl Guard {
    /// Replaces the words: what was loading has failed, and why.
    pub fn say(&self, what: impl Into<String>) {
        let what = what.into();
        self.readiness.state.send_modify(|state| {
            if let Some(awaited) = state.services.get_mut(&self.service) {
                awaited.insert(self.id, what);
            }
        });
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut last = None;
        self.readiness.state.send_modify(|state| {
            if let Some(awaited) = state.services.get_mut(&self.service) {
                let what = awaited.remove(&self.id);
                last = what.filter(|_| awaited.is_empty());
            }
        });
        if let Some(what) = last {
            let elapsed_ms = self.readiness.born.elapsed().as_millis() as u64;
            tracing::info!(service = &*self.service, last = what, elapsed_ms, "ready");
        }
    }
}

// === impl State ===

impl State {
    /// What a service or a method waits for: what is its own, its service's and the process's.
    fn awaited<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a String> {
        let own = self.services.get(name).into_iter();
        let service = name
            .split_once('/')
            .and_then(|(service, _)| self.services.get(service));
        let process = self.services.get("").filter(|_| !name.is_empty()).into_iter();
        own.chain(service).chain(process).flat_map(BTreeMap::values)
    }

    /// No service waits for anything.
    fn is_clear(&self) -> bool {
        let mut all = self.services.iter();
        all.all(|(name, awaited)| is_method(name) || awaited.is_empty())
    }

    fn is_serving(&self, service: &str) -> Option<bool> {
        if service.is_empty() {
            return Some(self.is_clear() && !self.starting && !self.draining);
        }
        self.services.get(service)?;
        let clear = self.awaited(service).next().is_none();
        Some(clear && !self.starting && !self.draining)
    }
}

/// Names of services have no slash.
fn is_method(name: &str) -> bool {
    name.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_waits_holds_up_nothing_else_and_says_so_itself() {
        let readiness = Readiness::new();
        readiness.register("a");
        let worker = readiness.guard("a/Make", "the worker");
        assert_eq!(readiness.is_serving("a/Make"), Some(false));
        assert_eq!(readiness.is_serving("a"), Some(true), "other methods do without");
        assert_eq!(readiness.is_serving(""), Some(true));
        assert!(readiness.awaited("a").is_empty() && readiness.not_ready().is_empty());
        let told = [("a/Make".to_owned(), "the worker".to_owned())];
        assert_eq!(readiness.methods_not_ready(), told);
        let service = readiness.guard("a", "the queue");
        drop(worker);
        assert_eq!(
            readiness.is_serving("a/Make"),
            Some(false),
            "it waits with its service"
        );
        drop(service);
        assert_eq!(readiness.is_serving("a/Make"), Some(true));
        assert_eq!(
            readiness.is_serving("a/List"),
            None,
            "it is as its service, and has no name"
        );
    }

    #[test]
    fn the_last_guard_makes_it_serve_and_a_new_one_takes_it_back() {
        let readiness = Readiness::new();
        readiness.register("b");
        let (model, warm) = (
            readiness.guard("a", "the model"),
            readiness.guard("a", "the warm-up"),
        );
        assert_eq!(readiness.is_serving("a"), Some(false));
        assert_eq!(
            readiness.is_serving("b"),
            Some(true),
            "services do not wait for one another"
        );
        assert_eq!(readiness.is_serving(""), Some(false), "the process waits for all");
        drop(model);
        assert_eq!(
            readiness.not_ready(),
            [("a".to_owned(), "the warm-up".to_owned())]
        );
        drop(warm);
        assert_eq!(readiness.is_serving("a"), Some(true));
        let failed = readiness.guard("a", "the device");
        failed.say("the device, which fell off the bus");
        assert_eq!(readiness.awaited("a"), ["the device, which fell off the bus"]);
        assert_eq!(readiness.is_serving("c"), None);
    }

    #[test]
    fn a_condition_of_the_process_holds_every_service_back() {
        let readiness = Readiness::new();
        readiness.register("a");
        let guard = readiness.guard("", "the first configuration");
        assert_eq!(readiness.is_serving("a"), Some(false));
        drop(guard);
        assert_eq!(readiness.is_serving("a"), Some(true));
    }

    #[test]
    fn nothing_serves_while_the_program_is_built() {
        let readiness = Readiness::new();
        readiness.register("a");
        readiness.starting();
        assert_eq!(readiness.is_serving(""), Some(false));
        assert_eq!(readiness.is_serving("a"), Some(false));
        let model = readiness.guard("a", "the model");
        readiness.started();
        assert_eq!(
            readiness.is_serving("a"),
            Some(false),
            "now the model is waited for"
        );
        drop(model);
        assert_eq!(readiness.is_serving(""), Some(true));
    }

    #[test]
    fn draining_says_not_serving_and_awaits_nothing() {
        let readiness = Readiness::new();
        readiness.register("a");
        readiness.drain();
        assert_eq!(readiness.is_serving("a"), Some(false));
        assert!(readiness.awaited("a").is_empty());
    }
}
