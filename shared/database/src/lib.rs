//! How a durable database is opened, SQLite in a file or PostgreSQL on a server, and what its errors mean.
//!
//! One set of statements serves both: they are written at run time, in the words that both know. What differs is asked of
//! the [`Database`], or stands in [`Tables`] under a name of its own.
//!
//! - **What was told to be committed is on the disk**, and a connection that could not end its transaction is not used again.
//! - **Tables know their version.** Those of an older program are changed, those of a newer one are refused.
//! - **A folder of files belongs to one process** ([`own`]), so what it finds there at its start is nobody else's.
//!
//! Not here: any table, what it means, and errors that a client reads: those are of the crates that keep something.

mod database;
mod error;
mod folder;
mod tables;

pub use database::{Database, Dialect, Place, is_server};
pub use error::{Error, is_twice, may_pass, says_full};
pub use folder::{check_room, own};
pub use tables::Tables;
