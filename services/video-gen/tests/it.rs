//! The video service whole: its life, its faults, kill -9, and the real worker.

mod bad_input;
mod faults;
mod kills;
mod offloading;
mod real;
mod stand_in;
mod support;
mod videos;
mod without_worker;
