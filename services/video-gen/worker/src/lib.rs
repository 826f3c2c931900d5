//! Text to video on LibTorch, in a process of its own.
//!
//! One process owns one device. It is told what to do a line at a time and answers a line at a time ([`protocol`]); it knows
//! no gRPC, no queue and no client, and opens no socket. Who starts it decides what is loaded and in which order
//! things are made. It ends when its standard input does.
//!
//! With the feature `torch` it is the worker itself: `wan` makes frames, `film` writes them, `studio` does orders.
//! Without the feature `torch` this library is what the service needs to know of the worker: the [`protocol`], the
//! models it has ([`catalogue`]), their [`shapes`], and what a video takes ([`estimate`]). It links nothing then.

pub mod catalogue;
pub mod estimate;
pub mod protocol;
pub mod shapes;

#[cfg(feature = "torch")]
pub mod desk;
#[cfg(feature = "torch")]
pub mod device;
#[cfg(feature = "film")]
pub mod error;
#[cfg(feature = "torch")]
mod ffi;
#[cfg(feature = "film")]
pub mod film;
#[cfg(feature = "torch")]
pub mod prove;
#[cfg(any(feature = "torch", test))]
mod share;
#[cfg(feature = "torch")]
pub mod stop;
#[cfg(feature = "torch")]
pub mod studio;
#[cfg(feature = "torch")]
pub mod wan;
