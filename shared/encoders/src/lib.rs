//! Text encoders on ONNX Runtime: sentence embeddings, cross-encoders and their tokenizers.
//!
//! - [`Embedder`]: texts to vectors, with BERT and what came of it (RoBERTa, XLM-RoBERTa, MPNet, DeBERTa), in the layouts
//!   of sentence-transformers, optimum and transformers.js;
//! - [`CrossEncoder`]: how well passages answer a query;
//! - [`ZeroShot`]: which labels fit a text, by inference between sentences;
//! - [`Tokenizer`]: the tokens of a text and where they stand, for whoever cuts texts by tokens;
//! - [`roster`]: these with the models of the store. Services of one process that ask for the same model share it.
//!
//! Everything here is synchronous and runs on the caller's thread and on as many more as there are sessions. It knows no
//! index, no wire and no language model that writes.

mod batches;
mod cross_encoder;
mod embedder;
mod error;
mod folder;
mod network;
mod pairs;
mod pooling;
pub mod roster;
mod settings;
mod tokenizer;
mod zero_shot;

pub use cross_encoder::{CrossEncoder, Scored};
pub use embedder::{EmbedOptions, Embedded, Embedder, EmbedderInfo, Role};
pub use error::{Error, Input, Problem};
pub use folder::Folder;
pub use pairs::PairInfo;
pub use settings::Pooling;
pub use tokenizer::{LONGEST_TEXT, Token, Tokenizer, Truncation};
pub use zero_shot::{Fit, ZeroShot};

/// The engine's name, in the catalogue and in receipts.
pub const ENGINE: &str = "bert";
