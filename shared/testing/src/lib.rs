//! Test tools: a throw-away CA, port 0, log capture, patience, a faulty network, process meters, repeatable chance.
//!
//! A dev-dependency only, and on the ground: it knows nothing of ours, so every crate may use it. It panics where a
//! library would return an error, for a test has nobody to hand one to. Fakes live with the thing they imitate, not here.

mod ca;
mod eventually;
mod exposition;
mod fault_proxy;
mod listener;
mod logs;
mod meters;
mod rng;

pub use ca::{Authority, Issued, Leaf, PemFiles};
pub use eventually::{eventually, eventually_some};
pub use exposition::{Exposition, Sample};
pub use fault_proxy::{Direction, End, FaultProxy, Faults};
pub use listener::listener;
pub use logs::{Event, Logs, capture_logs};
pub use meters::Meters;
pub use rng::Rng;
