//! The queue whole: on a disk, under kill -9, and without room.

mod disk_full;
mod holding;
mod kills;
mod queue;
mod support;
