//! What may happen to a job, and what becomes of it: data and time in, data out. No database, no clock, no waiting.
//!
//! Times are microseconds since 1970. A change by a holder is refused unless it shows the token of the last claim: a job
//! that was taken over can be changed by its new holder alone, however late the old one comes back.

use std::time::Duration;

use polyphony_error::{Fault, Kind};

use crate::job::{Failure, Priority, State};

/// What the rules look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it is.
    pub state: State,
    /// Its turn among others.
    pub priority: Priority,
    /// How often it was begun.
    pub attempts: u32,
    /// How often it took its worker with it.
    pub strikes: u32,
    /// How often in a row its holder vanished and had come no farther than one before.
    pub interruptions: u32,
    /// The farthest that a holder has come, as it counts that.
    pub reached: u64,
    /// Who holds it.
    pub hold: Option<Hold>,
    /// Somebody wants it to stop.
    pub cancelling: bool,
    /// When it was last begun.
    pub started: Option<i64>,
    /// When it was over.
    pub ended: Option<i64>,
    /// When it fails unless it is done.
    pub deadline: Option<i64>,
    /// When it is forgotten.
    pub expires: Option<i64>,
    /// Why it failed.
    pub failure: Option<Failure>,
}

/// The right to work on a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Of one claim alone.
    pub token: String,
    /// When it lapses, unless it is renewed.
    pub until: i64,
}

/// What decides about attempts and times.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a holder may be silent.
    pub lease: Duration,
    /// A job with so many strikes is dead.
    pub max_attempts: u32,
    /// A holder that vanishes is a strike. One may be another's doing, so jobs that have one are worked on alone.
    pub blame_losses: bool,
    /// A job with so many interruptions is dead. None: there may be any number.
    pub max_interruptions: Option<u32>,
    /// A job that waits is not cancelled at once, but by its next holder.
    pub holder_stops: bool,
    /// How long a job is kept when it is over. None: for ever.
    pub retention: Option<Duration>,
}

/// Why a change is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The job is held by another claim, or by none.
    Lost,
    /// The job is over.
    Over,
    /// The job does not wait.
    Taken,
}

/// How work on a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It is done.
    Succeeded,
    /// It cannot be done; another attempt would fail as well.
    Failed(Failure),
    /// The worker died, for this reason.
    Broke(String),
    /// The holder stopped because it was asked to.
    Stopped,
    /// The holder goes away in good order; the job is for another.
    GivenBack,
}

// === impl Record ===

impl Record {
    /// A job that waits.
    pub const fn waiting(deadline: Option<i64>) -> Self {
        Self {
            state: State::Queued,
            priority: Priority::Normal,
            attempts: 0,
            strikes: 0,
            interruptions: 0,
            reached: 0,
            hold: None,
            cancelling: false,
            started: None,
            ended: None,
            deadline,
            expires: None,
            failure: None,
        }
    }

    /// Somebody takes it.
    ///
    /// # Errors
    /// [`Refusal::Taken`] unless it waits.
    pub fn claim(&mut self, token: &str, now: i64, limits: &Limits) -> Result<(), Refusal> {
        if self.state != State::Queued {
            return Err(Refusal::Taken);
        }
        self.state = State::Loading;
        self.attempts += 1;
        self.started = Some(now);
        self.hold = Some(Hold {
            token: token.to_owned(),
            until: later(now, limits.lease),
        });
        Ok(())
    }

    /// Its holder is alive.
    ///
    /// # Errors
    /// [`Refusal::Lost`].
    pub fn beat(&mut self, token: &str, now: i64, limits: &Limits) -> Result<(), Refusal> {
        self.held_by(token)?;
        self.hold = Some(Hold {
            token: token.to_owned(),
            until: later(now, limits.lease),
        });
        Ok(())
    }

    /// Its holder has come so far. One that came farther than all before it was not in vain.
    pub(crate) const fn reach(&mut self, reached: u64) {
        if reached > self.reached {
            self.reached = reached;
            self.interruptions = 0;
        }
    }

    /// Its holder prepares, or works.
    ///
    /// # Errors
    /// [`Refusal::Lost`].
    pub fn advance(&mut self, token: &str, state: State) -> Result<(), Refusal> {
        self.held_by(token)?;
        if state.is_held() {
            self.state = state;
        }
        Ok(())
    }

    /// Its holder lets go.
    ///
    /// # Errors
    /// [`Refusal::Lost`].
    pub fn end(&mut self, token: &str, ending: Ending, now: i64, limits: &Limits) -> Result<(), Refusal> {
        self.held_by(token)?;
        match ending {
            Ending::Succeeded => self.finish(State::Succeeded, None, now, limits),
            Ending::Failed(failure) => self.finish(State::Failed, Some(failure), now, limits),
            Ending::Stopped => self.finish(State::Cancelled, Some(cancelled()), now, limits),
            Ending::GivenBack => self.again(now, limits),
            Ending::Broke(cause) => {
                self.strikes += 1;
                self.struck(&cause, now, limits);
            }
        }
        Ok(())
    }

    /// Somebody wants it to stop. One that waits is cancelled at once, unless its holder has to stop something elsewhere:
    /// then its turn is next. One that is held is cancelled when its holder says so.
    ///
    /// # Errors
    /// [`Refusal::Over`].
    pub fn cancel(&mut self, now: i64, limits: &Limits) -> Result<(), Refusal> {
        if self.state.is_over() {
            return Err(Refusal::Over);
        }
        self.cancelling = true;
        if self.state == State::Queued {
            self.again(now, limits);
        }
        Ok(())
    }

    /// Time has passed: what is due happens. `gone`: its holder is known to be no more, whatever the lease says.
    pub fn lapse(&mut self, now: i64, gone: bool, limits: &Limits) {
        match self.state {
            State::Queued if self.is_late(now) => {
                self.finish(State::Failed, Some(late()), now, limits);
            }
            State::Loading | State::Running => {
                let over = self.hold.as_ref().is_none_or(|hold| hold.until < now);
                if !over && !gone {
                    return;
                }
                if limits.blame_losses {
                    self.strikes += 1;
                    self.struck("the process that did it went away", now, limits);
                } else {
                    self.interruptions += 1;
                    self.interrupted(now, limits);
                }
            }
            _ => {}
        }
    }

    /// Whether it should have been done by now.
    pub fn is_late(&self, now: i64) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    fn held_by(&self, token: &str) -> Result<(), Refusal> {
        let own = self.hold.as_ref().is_some_and(|hold| hold.token == token);
        if own && self.state.is_held() {
            Ok(())
        } else {
            Err(Refusal::Lost)
        }
    }

    /// Its worker is dead; a try more, or none.
    fn struck(&mut self, cause: &str, now: i64, limits: &Limits) {
        if self.strikes >= limits.max_attempts && (!self.cancelling || limits.holder_stops) {
            self.finish(State::Failed, Some(dead(self.strikes, cause)), now, limits);
        } else {
            self.again(now, limits);
        }
    }

    /// Its holder is no more, which need not be its fault; a try more, unless that was in vain too often.
    fn interrupted(&mut self, now: i64, limits: &Limits) {
        let most = limits.max_interruptions;
        if most.is_some_and(|most| self.interruptions >= most) && !self.cancelling {
            self.finish(State::Failed, Some(given_up(self.interruptions)), now, limits);
        } else {
            self.again(now, limits);
        }
    }

    /// It waits again, unless nobody wants it any more.
    fn again(&mut self, now: i64, limits: &Limits) {
        if self.cancelling && !limits.holder_stops {
            self.finish(State::Cancelled, Some(cancelled()), now, limits);
        } else if self.is_late(now) {
            self.finish(State::Failed, Some(late()), now, limits);
        } else {
            self.state = State::Queued;
            self.hold = None;
            if self.cancelling {
                self.priority = Priority::High;
            }
        }
    }

    fn finish(&mut self, state: State, failure: Option<Failure>, now: i64, limits: &Limits) {
        self.state = state;
        self.failure = failure;
        self.hold = None;
        self.cancelling = false;
        self.ended = Some(now);
        self.expires = limits.retention.map(|retention| later(now, retention));
    }
}

fn later(now: i64, by: Duration) -> i64 {
    now.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX))
}

fn cancelled() -> Failure {
    Fault::new(Kind::Cancelled, "CANCELLED", "it was cancelled").into()
}

/// The fault of a job that was not done in time.
pub(crate) fn late_fault() -> Fault {
    let text = "it was not done within its deadline_duration; give it longer, or ask when less waits";
    Fault::new(Kind::DeadlineExceeded, "DEADLINE_EXCEEDED", text)
}

fn late() -> Failure {
    late_fault().into()
}

fn dead(strikes: u32, cause: &str) -> Failure {
    // What a worker leaves behind may be long.
    let cause: String = cause.chars().take(512).collect();
    let text =
        format!("its worker died {strikes} times, the last time because: {cause}; it is not tried again");
    Fault::new(Kind::Internal, "POISONED_JOB", text).into()
}

fn given_up(interruptions: u32) -> Failure {
    let text = format!(
        "the service ended {interruptions} times in a row while it worked on this, and had come no farther than before; it \
         is not tried again. Look into the log for why it ends, or ask for less"
    );
    Fault::new(Kind::Internal, "INTERRUPTED_JOB", text).into()
}

#[cfg(test)]
mod tests;
