//! The model store: what models there are, which are on disk, which are in memory.
//!
//! Three things, each usable without the others:
//!
//! - [`Catalogue`]: the models that are known, with their files, licences and sources; built in, and extended by the
//!   files of a `catalogue.d` folder.
//! - [`Store`] and [`Puller`]: models on disk. A pull brings one from the hub, verified and placed as a whole; models
//!   that a Python wheel, a Debian package or a folder brought are used where they lie. [`Store::find`] never needs the
//!   network and hands out no file whose size and SHA-256 were not checked.
//! - [`Residents`] and [`Residency`]: models in memory. Loaded on first use, once however many ask, and unloaded when
//!   idle or when another needs the room; never while in use.
//! - [`Roster`]: the models of one task, which a service chooses from by name or takes the best of.
//!
//! What "loading" means is the service's: this crate knows no inference library and parses no model. It serves no RPC
//! either; the adapter of `ModelService` stands above.

mod catalogue;
mod config;
mod digest;
mod error;
mod manifest;
mod names;
mod onnx;
mod provenance;
mod pull;
mod residency;
mod roster;
mod source;
mod store;

pub use catalogue::{Availability, Catalogue, Entry, FileEntry, Source, VariantEntry};
pub use config::ModelsConfig;
pub use digest::Sha256;
pub use error::Error;
pub use manifest::{FileRecord, Manifest};
pub use names::{FilePath, ModelId, ModelRef, Revision, Variant};
pub use provenance::{Degradation, Provenance};
pub use pull::{FileProgress, Progress, PullOptions, Puller, Stage};
pub use residency::{Lease, Loaded, Residency, ResidencyPolicy, Residents, Spec, State, Status};
pub use roster::{BoxError, Chosen, Present, Roster, RosterBuilder};
pub use store::{Installed, Listing, Presence, Store};
