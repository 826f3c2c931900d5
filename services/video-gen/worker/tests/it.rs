//! The worker against diffusers, against damaged files, and as a process of its own. `make test` installs LibTorch for it.

mod giving_up;
mod memory;
mod parity;
mod process;
mod refusals;
