//! The queue whole: on a disk, under kill -9, and without room.

mod blame;
mod disk_full;
mod fairness;
mod holding;
mod kills;
mod queue;
mod support;
