//! One door to every language model: those of upstream servers, and encoders of its own.
//!
//! It routes, queues, retries and counts; it runs no model that writes text. Upstreams are vLLM, TGI, Ollama, llama.cpp,
//! SGLang and whatever else has OpenAI's API. Only the addresses of the configuration are connected to, and a few ports of
//! this machine where `discover` is on.
//!
//! # The life of a request
//!
//! Through gRPC ([`grpc`](self)) a conversation is converted to the domain's words, where every field is kept or refused by
//! its path. `chat` looks into the cache and hands it to `exchange`, which asks the `fleet` for an upstream that has the
//! model (aliases, health, circuit, policy), waits there for a place, writes the request in the upstream's `dialect` and
//! sends it; as long as no token was passed on it may be tried again elsewhere. The answer's bytes become events (`sse`,
//! `chunk`), the events deltas, until the upstream has said why it ended. Who goes away drops the connection to the upstream.
//!
//! Through HTTP ([`http`](self)) the same way is taken with the bytes as they came: only the model's name is put in, and only
//! the usage is read. A task looks at every upstream's health, models and load.

mod answer;
mod cache;
mod chat;
mod chunk;
pub mod config;
mod convert;
mod dialect;
mod domain;
mod error;
mod exchange;
mod failure;
mod fleet;
mod grpc;
mod http;
mod join;
mod keys;
mod local;
mod metrics;
mod proxy;
mod retry;
mod serve;
mod sse;
mod texts;
mod upstream;
mod watch;

pub use config::Config;
pub use keys::FileError;
pub use serve::{LlmProxy, StartError};
pub use upstream::SetupError;
