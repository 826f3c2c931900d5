//! Loads happen once, for all who ask, and the states tell the truth. Who stays and who leaves is in `room`.

mod room;

use std::sync::Condvar;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::*;

const IDLE: Duration = Duration::from_secs(600);

/// What the loaders of a test have made, and what is left of it.
#[derive(Default)]
struct World {
    loads: AtomicU32,
    alive: AtomicU32,
    most_alive: AtomicU32,
    broken: AtomicBool,
    /// Loads wait while this is closed.
    closed: Mutex<bool>,
    opened: Condvar,
}

/// A model of a test: knows which load made it.
struct Model {
    number: u32,
    world: Arc<World>,
}

impl Drop for Model {
    fn drop(&mut self) {
        self.world.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl World {
    fn load(self: &Arc<Self>) -> Result<Loaded<Model>, Box<dyn StdError + Send + Sync>> {
        let number = self.loads.fetch_add(1, Ordering::SeqCst);
        let closed = self.closed.lock().expect("the gate");
        drop(
            self.opened
                .wait_while(closed, |closed| *closed)
                .expect("the gate"),
        );
        if self.broken.load(Ordering::SeqCst) {
            return Err("the weights are wrong".into());
        }
        let alive = self.alive.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_alive.fetch_max(alive, Ordering::SeqCst);
        Ok(Model {
            number,
            world: Arc::clone(self),
        }
        .into())
    }

    fn close(&self) {
        *self.closed.lock().expect("the gate") = true;
    }

    fn open(&self) {
        *self.closed.lock().expect("the gate") = false;
        self.opened.notify_all();
    }

    fn loads(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }

    fn alive(&self) -> u32 {
        self.alive.load(Ordering::SeqCst)
    }
}

fn name(text: &str) -> ModelRef {
    text.parse().expect("a name")
}

fn spec(text: &str, memory_bytes: u64) -> Spec {
    Spec {
        model: name(text),
        task: "asr".to_owned(),
        engine: "test".to_owned(),
        memory_bytes,
    }
}

/// Models of ten bytes each, and room for `room` of them.
fn residents(room: Option<u64>) -> Residents {
    Residents::new(ResidencyPolicy {
        idle_unload: Some(IDLE),
        memory_budget: room.map(|room| room * 10),
        ..ResidencyPolicy::default()
    })
}

fn add(residents: &Residents, text: &str, world: &Arc<World>) -> Residency<Model> {
    let world = Arc::clone(world);
    residents
        .add(spec(text, 10), || true, move || world.load())
        .expect("a new model")
}

fn state(residents: &Residents, model: &str) -> State {
    residents.status(&name(model)).expect("a known model").state
}

async fn until(residents: &Residents, model: &str, wanted: fn(&State) -> bool) {
    let mut changes = residents.watch();
    while !wanted(&state(residents, model)) {
        changes.changed().await.expect("the residents live");
    }
}

fn is_ready(state: &State) -> bool {
    matches!(state, State::Ready { .. })
}

#[tokio::test(start_paused = true)]
async fn however_many_ask_a_model_is_loaded_once() {
    let (residents, world) = (residents(None), Arc::new(World::default()));
    let residency = add(&residents, "a", &world);
    assert_eq!(state(&residents, "a"), State::Available);
    world.close();
    let asks: Vec<_> = (0..50)
        .map(|_| {
            let residency = residency.clone();
            tokio::spawn(async move { residency.lease().await.map(|lease| lease.number) })
        })
        .collect();
    until_loading(&residents, "a").await;
    world.open();
    for ask in asks {
        assert_eq!(ask.await.expect("no panic").expect("a lease"), 0);
    }
    assert_eq!(world.loads(), 1);
    let status = residents.status(&name("a")).expect("known");
    assert_eq!((status.loads, status.in_use, status.failures), (1, 0, 0));
    assert!(status.load_time.is_some() && status.last_used.is_some());
}

async fn until_loading(residents: &Residents, model: &str) {
    until(residents, model, |state| matches!(state, State::Loading { .. })).await;
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_does_not_stop_the_load_for_others() {
    let (residents, world) = (residents(None), Arc::new(World::default()));
    let residency = add(&residents, "a", &world);
    world.close();
    let first = tokio::spawn({
        let residency = residency.clone();
        async move { residency.lease().await.map(drop) }
    });
    until_loading(&residents, "a").await;
    let second = tokio::spawn(async move { residency.lease().await.map(|lease| lease.number) });
    first.abort();
    assert!(first.await.expect_err("aborted").is_cancelled());
    world.open();
    assert_eq!(second.await.expect("no panic").expect("a lease"), 0);
    assert_eq!(residents.status(&name("a")).expect("known").in_use, 0);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_nobody_waits_for_any_more_is_not_lost() {
    let (residents, world) = (residents(None), Arc::new(World::default()));
    let residency = add(&residents, "a", &world);
    world.close();
    let only = tokio::spawn({
        let residency = residency.clone();
        async move { residency.lease().await.map(drop) }
    });
    until_loading(&residents, "a").await;
    only.abort();
    assert!(only.await.is_err());
    world.open();
    until(&residents, "a", is_ready).await;
    assert_eq!(residents.status(&name("a")).expect("known").in_use, 0);
    residency.lease_if_ready().expect("in memory");
    assert_eq!(world.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_load_says_why_and_is_tried_again_after_a_pause() {
    let (residents, world) = (residents(Some(1)), Arc::new(World::default()));
    let a = add(&residents, "a", &world);
    world.broken.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let error = a.lease().await.expect_err("broken");
        assert_eq!(
            error.to_string(),
            "model \"a\" could not be loaded: the weights are wrong"
        );
    }
    assert_eq!(world.loads(), 1, "requests do not hammer a broken model");
    assert!(
        matches!(state(&residents, "a"), State::Failed { reason, .. } if &*reason == "the weights are wrong")
    );
    assert_eq!(residents.memory_bytes(), 0, "a failed load gives its room back");
    residents.load(a.model()).await.expect_err("still broken");
    assert_eq!(world.loads(), 2, "an operator may");
    world.broken.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(11)).await;
    a.lease().await.expect("mended");
    assert!(is_ready(&state(&residents, "a")));
}

#[tokio::test(start_paused = true)]
async fn a_failed_reload_keeps_the_old_and_a_good_one_replaces_it_under_its_users() {
    let (residents, world) = (residents(None), Arc::new(World::default()));
    let a = add(&residents, "a", &world);
    let old = a.lease().await.expect("a lease");
    world.broken.store(true, Ordering::SeqCst);
    residents.reload(a.model()).await.expect_err("broken");
    assert!(is_ready(&state(&residents, "a")));
    assert_eq!(a.lease().await.expect("the old one").number, old.number);
    let status = residents.status(a.model()).expect("known");
    assert_eq!(status.last_failure.as_deref(), Some("the weights are wrong"));
    world.broken.store(false, Ordering::SeqCst);
    residents.reload(a.model()).await.expect("mended");
    assert_eq!(a.lease().await.expect("the new one").number, 2);
    assert_eq!((old.number, world.alive(), residents.memory_bytes()), (0, 2, 20));
    let mut changes = residents.watch();
    drop(old);
    while residents.memory_bytes() != 10 {
        changes.changed().await.expect("the residents live");
    }
    assert_eq!(world.alive(), 1);
    assert!(is_ready(&state(&residents, "a")));
}

#[tokio::test(start_paused = true)]
async fn an_unload_waits_for_the_last_user_and_who_comes_meanwhile_gets_a_new_one() {
    let (residents, world) = (residents(None), Arc::new(World::default()));
    let a = add(&residents, "a", &world);
    let lease = a.lease().await.expect("a lease");
    let unload = tokio::spawn({
        let residents = residents.clone();
        async move { residents.unload(&name("a")).await }
    });
    until(&residents, "a", |state| *state == State::Unloading).await;
    assert!(a.lease_if_ready().is_none());
    let next = tokio::spawn({
        let a = a.clone();
        async move { a.lease().await.map(|lease| lease.number) }
    });
    tokio::task::yield_now().await;
    assert!(!unload.is_finished() && !next.is_finished());
    drop(lease);
    unload.await.expect("no panic").expect("unloaded");
    assert_eq!(next.await.expect("no panic").expect("a lease"), 1);
    residents.unload(a.model()).await.expect("unloaded");
    assert_eq!((state(&residents, "a"), world.alive()), (State::Available, 0));
    residents.unload(a.model()).await.expect("nothing to do");
}

#[tokio::test(start_paused = true)]
async fn an_unload_during_a_load_comes_after_it() {
    let (residents, world) = (residents(None), Arc::new(World::default()));
    let a = add(&residents, "a", &world);
    world.close();
    let lease = tokio::spawn({
        let a = a.clone();
        async move { a.lease().await.map(|lease| lease.number) }
    });
    until_loading(&residents, "a").await;
    let unload = tokio::spawn({
        let residents = residents.clone();
        async move { residents.unload(&name("a")).await }
    });
    tokio::task::yield_now().await;
    world.open();
    assert_eq!(lease.await.expect("no panic").expect("a lease"), 0);
    unload.await.expect("no panic").expect("unloaded");
    assert_eq!(world.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_loader_that_panics_is_a_failed_load() {
    let residents = residents(None);
    let a: Residency<u8> = residents
        .add(spec("a", 1), || true, || panic!("boom"))
        .expect("a new model");
    let error = a.lease().await.expect_err("panicked");
    assert!(error.to_string().contains("the loader panicked"), "{error}");
    assert_eq!(residents.memory_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_not_on_disk_is_absent() {
    let residents = residents(None);
    let here = Arc::new(AtomicBool::new(false));
    let disk = Arc::clone(&here);
    let a: Residency<u8> = residents
        .add(spec("a", 1), move || disk.load(Ordering::SeqCst), || Ok(7.into()))
        .expect("a new model");
    assert_eq!(state(&residents, "a"), State::Absent);
    here.store(true, Ordering::SeqCst);
    assert_eq!(state(&residents, "a"), State::Available);
    assert_eq!(*a.lease().await.expect("a lease"), 7);
    let twice = residents.add::<u8>(spec("a", 1), || true, || Ok(7.into()));
    assert!(matches!(twice, Err(Error::Twice(_))));
    assert!(matches!(residents.status(&name("b")), Err(Error::NotResident(_))));
}

#[tokio::test(start_paused = true)]
async fn services_that_share_a_model_have_it_in_memory_once() {
    let world = Arc::new(World::default());
    let residents = residents(None);
    let shared = || {
        let world = Arc::clone(&world);
        residents.add_shared(spec("a", 1), || true, move || world.load())
    };
    let (one, other) = (shared().expect("a new model"), shared().expect("the same model"));
    let (one, other) = (
        one.lease().await.expect("a lease"),
        other.lease().await.expect("a lease"),
    );
    assert_eq!((one.number, other.number), (0, 0));
    assert_eq!((world.alive(), residents.memory_bytes()), (1, 1));
    let another = Spec {
        engine: "other".into(),
        ..spec("a", 1)
    };
    let refused = residents.add_shared::<Model>(another, || true, || Err("never loaded".into()));
    assert!(matches!(refused, Err(Error::Twice(_))));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_running_when_the_residents_are_gone() {
    let world = Arc::new(World::default());
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let residents = residents(None);
    let a = add(&residents, "a", &world);
    drop(a.lease().await.expect("a lease"));
    drop((a, residents));
    while tasks() > before {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.alive(), 0);
}
