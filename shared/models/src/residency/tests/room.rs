//! Who stays in memory and who leaves: for room, for idleness, and never in use.

use std::sync::atomic::AtomicU64;

use super::*;

#[tokio::test(start_paused = true)]
async fn the_least_recently_used_leaves_first_and_is_gone_before_the_next_comes() {
    let (residents, world) = (residents(Some(2)), Arc::new(World::default()));
    let [a, b, c] = ["a", "b", "c"].map(|text| add(&residents, text, &world));
    for residency in [&a, &b, &a] {
        drop(residency.lease().await.expect("a lease"));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    drop(c.lease().await.expect("room is made"));
    assert_eq!(state(&residents, "b"), State::Available);
    assert!(is_ready(&state(&residents, "a")) && is_ready(&state(&residents, "c")));
    assert_eq!(world.most_alive.load(Ordering::SeqCst), 2);
    assert_eq!(residents.memory_bytes(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_model_in_use_is_never_unloaded() {
    let (residents, world) = (residents(Some(1)), Arc::new(World::default()));
    let (a, b) = (add(&residents, "a", &world), add(&residents, "b", &world));
    let lease = a.lease().await.expect("a lease");
    let error = b.lease().await.expect_err("no room");
    assert!(
        matches!(
            error,
            Error::NoMemory {
                need: 10,
                used: 10,
                budget: 10,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        state(&residents, "b"),
        State::Available,
        "nothing is wrong with it"
    );
    tokio::time::advance(IDLE * 5).await;
    tokio::task::yield_now().await;
    assert!(is_ready(&state(&residents, "a")));
    assert_eq!(lease.number, 0);
    drop(lease);
    b.lease().await.expect("room is made");
    assert_eq!(state(&residents, "a"), State::Available);
}

#[tokio::test(start_paused = true)]
async fn a_pinned_model_stays() {
    let (residents, world) = (residents(Some(2)), Arc::new(World::default()));
    let [a, b, c] = ["a", "b", "c"].map(|text| add(&residents, text, &world));
    residents.pin(a.model(), true).expect("known");
    for residency in [&a, &b, &c] {
        drop(residency.lease().await.expect("a lease"));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!(is_ready(&state(&residents, "a")), "older than b, and pinned");
    assert_eq!(state(&residents, "b"), State::Available);
    let error = residents.unload(a.model()).await.expect_err("pinned");
    assert!(matches!(error, Error::Pinned(_)), "{error}");
    tokio::time::advance(IDLE * 2).await;
    until(&residents, "c", |state| *state == State::Available).await;
    assert!(is_ready(&state(&residents, "a")));
    residents.pin(a.model(), false).expect("known");
    until(&residents, "a", |state| *state == State::Available).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_model_leaves_when_its_time_has_come_and_not_before() {
    let (residents, world) = (residents(None), Arc::new(World::default()));
    let a = add(&residents, "a", &world);
    drop(a.lease().await.expect("a lease"));
    tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
    drop(a.lease().await.expect("a lease"));
    tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
    assert!(is_ready(&state(&residents, "a")), "it was used in between");
    tokio::time::sleep(Duration::from_secs(2)).await;
    until(&residents, "a", |state| *state == State::Available).await;
    assert_eq!((world.alive(), residents.memory_bytes()), (0, 0));
    drop(a.lease().await.expect("loaded again"));
    assert_eq!(world.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_never_fits_is_said_at_once() {
    let (residents, world) = (residents(Some(1)), Arc::new(World::default()));
    let load = Arc::clone(&world);
    let big = residents
        .add(spec("big", 11), || true, move || load.load())
        .expect("a new model");
    for _ in 0..2 {
        let error = big.lease().await.expect_err("too large");
        assert!(
            matches!(
                error,
                Error::TooLarge {
                    need: 11,
                    budget: 10,
                    ..
                }
            ),
            "{error}"
        );
    }
    assert!(matches!(state(&residents, "big"), State::Failed { .. }));
    assert_eq!(world.loads(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_takes_more_than_was_thought_makes_others_leave() {
    let (residents, world) = (residents(Some(2)), Arc::new(World::default()));
    let a = add(&residents, "a", &world);
    drop(a.lease().await.expect("a lease"));
    let load = Arc::clone(&world);
    let greedy = move || {
        Ok(Loaded {
            memory_bytes: Some(15),
            device: Some("cpu".to_owned()),
            ..load.load()?
        })
    };
    let greedy = residents
        .add(spec("greedy", 10), || true, greedy)
        .expect("a new model");
    let _lease = greedy.lease().await.expect("a lease");
    until(&residents, "a", |state| *state == State::Available).await;
    let status = residents.status(greedy.model()).expect("known");
    assert_eq!(
        (status.spec.memory_bytes, status.device.as_deref()),
        (15, Some("cpu"))
    );
    assert_eq!(residents.memory_bytes(), 15);
}

/// Six models, room for three, and everyone at once; a plain generator of numbers, so that a failure can be repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_load_the_budget_holds_and_the_books_balance() {
    let (residents, world) = (residents(Some(3)), Arc::new(World::default()));
    let models: Vec<_> = ["a", "b", "c", "d", "e", "f"]
        .iter()
        .map(|text| add(&residents, text, &world))
        .collect();
    let leases = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..8_u64)
        .map(|seed| {
            let (models, residents, leases) = (models.clone(), residents.clone(), Arc::clone(&leases));
            tokio::spawn(async move {
                let mut number = seed * 7919 + 1;
                for _ in 0..150 {
                    number = number
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let model = &models[(number >> 33) as usize % models.len()];
                    match (number >> 20) % 10 {
                        0 => residents.unload(model.model()).await.expect("not pinned"),
                        1 => drop(tokio::time::timeout(Duration::from_micros(50), model.lease()).await),
                        2 => drop(residents.reload(model.model()).await),
                        _ => match model.lease().await {
                            Ok(lease) => {
                                leases.fetch_add(1, Ordering::Relaxed);
                                tokio::task::yield_now().await;
                                assert!(lease.number < u32::MAX);
                            }
                            Err(Error::NoMemory { .. }) => {}
                            Err(error) => panic!("{error}"),
                        },
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.expect("no panic");
    }
    assert!(leases.load(Ordering::Relaxed) > 100);
    assert!(
        world.most_alive.load(Ordering::SeqCst) <= 3,
        "never more in memory than there is room for"
    );
    for model in &models {
        residents.unload(model.model()).await.expect("not pinned");
    }
    let mut changes = residents.watch();
    while residents.memory_bytes() > 0 {
        changes.changed().await.expect("the residents live");
    }
    assert_eq!(world.alive(), 0);
}
