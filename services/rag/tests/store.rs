//! The store without its service: what it promises of documents, spaces, indexes and the disk.

#![allow(clippy::unwrap_used, reason = "a test has nobody to hand an error to")]

mod archives;
mod crash;
mod disk_full;
mod documents;
mod hashed;
mod owners;
mod refused;
mod repair;
mod replicas;
mod searches;
mod support;
