//! The durable job queue: long work that survives the process that does it.
//!
//! A [`Queue`] is of one service: jobs are submitted to it, and whoever does the work claims them one by one. It lives in
//! SQLite, in a folder that one process owns, or in PostgreSQL, which several share.
//!
//! - **A lease, not a lock.** A claimed job is [`Held`] for a while, and for longer with each heartbeat. When its holder
//!   vanishes the job waits again, at its old place. Each claim has a token; who holds an old one can change nothing.
//! - **Attempts end.** A job whose worker was seen to die three times is dead: it fails, and says why. In a service that
//!   works in its own process the vanishing of the process counts as well ([`Terms::blame_losses`]), and a job that was lost
//!   so is worked on alone from then on: whoever was beside it is not punished twice.
//! - **Owners take turns.** Among jobs of one priority, and none of them fills the queue for all
//!   ([`JobsConfig::owner_share`]).
//! - **States are true.** They are set by the holder. A job that is to be cancelled says so when its holder has let go.
//! - **Asked once, done once.** A `request_id` belongs to its owner and names one job for as long as that is kept.
//! - **Whoever asks sees their own.** Each job has an owner, and whatever reads one for a caller takes the caller's names.
//!
//! What a job is about is opaque bytes. The [`rules`] know neither database nor clock; [`Artifacts`] are files beside it.
//! Not here: gRPC (`polyphony_chassis::operations` tells of jobs), and any work.

mod artifacts;
mod clock;
mod config;
mod database;
mod error;
mod held;
mod job;
pub mod payload;
mod queue;
pub mod rules;
mod vigil;
mod watch;

pub use artifacts::{Artifact, Artifacts, Draft};
pub use clock::{Clock, ManualClock, SystemClock};
pub use config::JobsConfig;
pub use error::Error;
pub use held::{Held, Pulse};
pub use job::{ANONYMOUS, Failure, Job, NewJob, Place, Priority, State};
pub use queue::{Filter, Order, Queue, Submitted, Swept, Terms};
pub use vigil::{Vigil, Why};
pub use watch::Watch;
