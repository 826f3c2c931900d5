//! The video service whole: its life, its faults and kill -9.

mod bad_input;
mod faults;
mod kills;
mod stand_in;
mod support;
mod videos;
