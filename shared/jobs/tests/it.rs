//! The queue whole: on a disk, under kill -9, and without room.

mod disk_full;
mod kills;
mod queue;
mod support;
