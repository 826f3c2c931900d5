//! The rules under every order of events that chance brings, from a thousand seeds; and single rules by hand.

use super::*;

const LIMITS: Limits = Limits {
    lease: Duration::from_micros(100),
    max_attempts: 3,
    blame_losses: false,
    max_interruptions: None,
    holder_stops: false,
    retention: Some(Duration::from_micros(1_000)),
};

/// A holder, which may have been silent for long.
#[derive(Debug, Clone)]
struct Holder {
    job: usize,
    token: String,
}

/// Jobs and holders under chance.
struct World {
    chance: fastrand::Rng,
    limits: Limits,
    now: i64,
    jobs: Vec<Record>,
    /// What is over must stay as it was then.
    over: Vec<Option<Record>>,
    /// The last token of each job: no other may change it.
    last: Vec<Option<String>>,
    successes: Vec<u32>,
    /// How often each was told to have killed its worker.
    strikes: Vec<u32>,
    holders: Vec<Holder>,
    tokens: u64,
}

// === impl World ===

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let limits = Limits {
            blame_losses: chance.bool(),
            max_interruptions: chance.bool().then(|| chance.u32(1..5)),
            holder_stops: chance.bool(),
            ..LIMITS
        };
        let many = chance.usize(1..6);
        let jobs: Vec<Record> = (0..many)
            .map(|_| Record::waiting(chance.bool().then(|| chance.i64(50..2_000))))
            .collect();
        Self {
            chance,
            limits,
            now: 0,
            over: vec![None; many],
            last: vec![None; many],
            successes: vec![0; many],
            strikes: vec![0; many],
            jobs,
            holders: Vec::new(),
            tokens: 0,
        }
    }

    fn claim(&mut self) {
        let Some(job) = self.jobs.iter().position(|job| job.state == State::Queued) else {
            return;
        };
        self.tokens += 1;
        let token = self.tokens.to_string();
        self.jobs[job]
            .claim(&token, self.now, &self.limits)
            .expect("it waits");
        self.last[job] = Some(token.clone());
        self.holders.push(Holder { job, token });
    }

    fn end(&mut self, ending: Ending) {
        if self.holders.is_empty() {
            return;
        }
        let at = self.chance.usize(..self.holders.len());
        let Holder { job, token } = self.holders.swap_remove(at);
        let held = self.jobs[job]
            .hold
            .as_ref()
            .is_some_and(|hold| hold.token == token);
        let ended = self.jobs[job].end(&token, ending.clone(), self.now, &self.limits);
        assert_eq!(ended.is_ok(), held, "a token of the past changes nothing");
        if ended.is_ok() {
            assert_eq!(self.last[job].as_ref(), Some(&token));
            self.successes[job] += u32::from(ending == Ending::Succeeded);
            self.strikes[job] += u32::from(matches!(ending, Ending::Broke(_)));
        }
    }

    fn beat(&mut self) {
        if let Some(Holder { job, token }) = self.chance.choice(&self.holders).cloned() {
            let before = self.jobs[job].clone();
            match self.jobs[job].beat(&token, self.now, &self.limits) {
                Ok(()) => {
                    assert_eq!(self.last[job], Some(token));
                    self.jobs[job].reach(self.chance.u64(..5));
                }
                Err(refusal) => {
                    assert_eq!(refusal, Refusal::Lost);
                    assert_eq!(self.jobs[job], before);
                }
            }
        }
    }

    fn lapse(&mut self) {
        for job in 0..self.jobs.len() {
            let before = self.jobs[job].clone();
            self.jobs[job].lapse(self.now, false, &self.limits);
            let alive = before.hold.as_ref().is_some_and(|hold| hold.until >= self.now);
            if alive {
                assert_eq!(self.jobs[job], before, "who is heard in time keeps the job");
            }
            let lost = before.hold.is_some() && self.jobs[job].hold.is_none();
            self.strikes[job] += u32::from(lost && self.limits.blame_losses);
        }
    }

    fn step(&mut self) {
        match self.chance.u32(..100) {
            0..30 => self.claim(),
            30..45 => self.beat(),
            45..55 => self.end(Ending::Succeeded),
            55..63 => self.end(Ending::Broke("on purpose".to_owned())),
            63..66 => self.end(Ending::Stopped),
            66..70 => self.end(Ending::GivenBack),
            70..72 => self.end(Ending::Failed(late())),
            72..76 => {
                let job = self.chance.usize(..self.jobs.len());
                let before = self.jobs[job].clone();
                let cancelled = self.jobs[job].cancel(self.now, &self.limits);
                assert_eq!(cancelled.is_err(), before.state.is_over());
                let at_once = before.state == State::Queued && self.jobs[job].state == State::Cancelled;
                assert!(!at_once || !self.limits.holder_stops, "its holder has to stop it");
            }
            76..90 => self.now += self.chance.i64(1..60),
            _ => self.lapse(),
        }
        self.check();
    }

    fn check(&mut self) {
        for (at, job) in self.jobs.iter().enumerate() {
            assert_eq!(job.hold.is_some(), job.state.is_held());
            assert_eq!(job.ended.is_some(), job.state.is_over());
            assert_eq!(job.expires.is_some(), job.state.is_over());
            assert_eq!(job.strikes, self.strikes[at]);
            assert!(job.strikes <= job.attempts);
            // What nobody wants waits only for a holder to stop it, and before all others.
            let unwanted = job.cancelling && job.state == State::Queued;
            assert!(!unwanted || (self.limits.holder_stops && job.priority == Priority::High));
            assert!(job.strikes < self.limits.max_attempts || job.state.is_over());
            let most = self.limits.max_interruptions.unwrap_or(u32::MAX);
            assert!(job.interruptions < most || job.state.is_over());
            assert!(self.successes[at] <= 1, "done twice");
            assert_eq!(self.successes[at] == 1, job.state == State::Succeeded);
            if let Some(over) = &self.over[at] {
                assert_eq!(job, over, "what is over stays as it is");
            } else if job.state.is_over() {
                self.over[at] = Some(job.clone());
            }
        }
    }

    /// Everybody goes away, and one good worker comes.
    fn finish(&mut self) {
        self.holders.clear();
        for _ in 0..100 {
            self.now += 200;
            self.lapse();
            self.claim();
            self.end(Ending::Succeeded);
            self.check();
        }
        assert!(self.jobs.iter().all(|job| job.state.is_over()), "a job is lost");
    }
}

#[test]
fn whatever_happens_no_job_is_lost_or_done_twice() {
    for seed in 0..1_000 {
        let played = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..200 {
                world.step();
            }
            world.finish();
        });
        assert!(played.is_ok(), "seed {seed}");
    }
}

fn taken(token: &str) -> Record {
    let mut job = Record::waiting(None);
    job.claim(token, 0, &LIMITS).expect("it waits");
    job
}

#[test]
fn a_poisoned_job_is_dead_after_three_attempts_and_says_why() {
    let mut job = Record::waiting(None);
    for attempt in 1..=3 {
        let token = attempt.to_string();
        job.claim(&token, 0, &LIMITS).expect("it waits");
        job.end(&token, Ending::Broke("signal 11".to_owned()), 0, &LIMITS)
            .expect("held");
    }
    assert_eq!((job.state, job.attempts), (State::Failed, 3));
    let status = job.failure.expect("a cause").status;
    let text = String::from_utf8_lossy(&status);
    assert!(
        text.contains("signal 11") && text.contains("POISONED_JOB"),
        "{text}"
    );
}

#[test]
fn a_holder_that_vanishes_counts_only_where_the_work_is_in_its_process() {
    let mut job = Record::waiting(None);
    for attempt in 1..=9 {
        job.claim(&attempt.to_string(), 0, &LIMITS).expect("it waits");
        job.lapse(0, true, &LIMITS);
    }
    assert_eq!((job.state, job.attempts, job.strikes), (State::Queued, 9, 0));
    let blaming = Limits {
        blame_losses: true,
        ..LIMITS
    };
    let mut job = Record::waiting(None);
    for attempt in 1..=3 {
        job.claim(&attempt.to_string(), 0, &blaming).expect("it waits");
        job.lapse(101, false, &blaming);
    }
    assert_eq!((job.state, job.attempts, job.strikes), (State::Failed, 3, 3));
}

#[test]
fn a_cancelled_job_says_so_when_its_holder_has_let_go() {
    let mut job = taken("a");
    job.cancel(5, &LIMITS).expect("it runs");
    job.cancel(6, &LIMITS).expect("twice changes nothing");
    assert_eq!((job.state, job.cancelling), (State::Loading, true));
    job.end("a", Ending::Stopped, 7, &LIMITS).expect("held");
    assert_eq!((job.state, job.ended), (State::Cancelled, Some(7)));
    assert_eq!(job.cancel(8, &LIMITS), Err(Refusal::Over));
    // Its worker died before it heard: the device is free as well.
    let mut job = taken("a");
    job.cancel(5, &LIMITS).expect("it runs");
    job.end("a", Ending::Broke("killed".to_owned()), 6, &LIMITS)
        .expect("held");
    assert_eq!(job.state, State::Cancelled);
    let mut waiting = Record::waiting(None);
    waiting.cancel(1, &LIMITS).expect("it waits");
    assert_eq!(waiting.state, State::Cancelled);
}

#[test]
fn a_holder_that_vanishes_again_and_again_ends_a_job_that_comes_no_farther() {
    let limits = Limits {
        max_interruptions: Some(3),
        ..LIMITS
    };
    let interrupt = |job: &mut Record, reached: u64| {
        job.claim("a", 0, &limits).expect("it waits");
        job.reach(reached);
        job.lapse(0, true, &limits);
    };
    let mut job = Record::waiting(None);
    for reached in 1..=9 {
        interrupt(&mut job, reached);
        assert_eq!(
            (job.state, job.interruptions),
            (State::Queued, 1),
            "it got farther"
        );
    }
    interrupt(&mut job, 9);
    assert_eq!((job.state, job.interruptions), (State::Queued, 2));
    // To be given back is no interruption, and forgives none.
    job.claim("b", 0, &limits).expect("it waits");
    job.end("b", Ending::GivenBack, 0, &limits).expect("held");
    assert_eq!((job.state, job.interruptions), (State::Queued, 2));
    interrupt(&mut job, 5);
    assert_eq!((job.state, job.strikes, job.attempts), (State::Failed, 0, 12));
    let status = job.failure.expect("a cause").status;
    let text = String::from_utf8_lossy(&status);
    assert!(
        text.contains("INTERRUPTED_JOB") && text.contains("3 times"),
        "{text}"
    );
    // One that nobody wants any more is cancelled, and not dead.
    let mut job = Record::waiting(None);
    job.interruptions = 2;
    job.claim("a", 0, &limits).expect("it waits");
    job.cancel(0, &limits).expect("held");
    job.lapse(0, true, &limits);
    assert_eq!(job.state, State::Cancelled);
}

#[test]
fn what_goes_on_elsewhere_is_cancelled_by_a_holder_alone() {
    let limits = Limits {
        holder_stops: true,
        ..LIMITS
    };
    let mut job = Record::waiting(None);
    job.cancel(1, &limits).expect("it waits");
    assert_eq!((job.state, job.cancelling), (State::Queued, true));
    assert_eq!(job.priority, Priority::High);
    // Its holder vanishes before it has stopped anything: the next one has to.
    job.claim("a", 2, &limits).expect("it waits");
    job.lapse(3, true, &limits);
    assert_eq!((job.state, job.cancelling), (State::Queued, true));
    job.claim("b", 4, &limits).expect("it waits");
    assert!(job.cancelling, "the holder is told");
    job.end("b", Ending::Stopped, 5, &limits).expect("held");
    assert_eq!((job.state, job.ended), (State::Cancelled, Some(5)));
}

#[test]
fn what_is_not_begun_in_time_fails() {
    let mut job = Record::waiting(Some(10));
    job.lapse(9, false, &LIMITS);
    assert_eq!(job.state, State::Queued);
    job.lapse(10, false, &LIMITS);
    assert_eq!(job.state, State::Failed);
    // One that is held is its holder's to stop, who is told.
    let mut job = Record::waiting(Some(10));
    job.claim("a", 5, &LIMITS).expect("it waits");
    job.lapse(50, false, &LIMITS);
    assert!(job.state.is_held() && job.is_late(50));
}
