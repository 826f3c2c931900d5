//! The arguments of what searches documents.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};

use super::seconds;

#[derive(Debug, clap::Args)]
pub(crate) struct Rag {
    /// The space of documents, 1 to 63 of a-z, 0-9 and "-".
    #[arg(
        long,
        global = true,
        value_name = "ID",
        env = "POLYPHONY_SPACE",
        default_value = "default"
    )]
    pub(crate) space: String,
    #[command(subcommand)]
    pub(crate) command: RagCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RagCommand {
    /// Take documents in; folders with all that is below them. What is there with the same content is left out, so an
    /// ingestion that was interrupted goes on where it was.
    Ingest(Ingest),
    /// Find the passages that fit a query.
    Search(Search),
    /// Answer a question from the documents, with where each sentence comes from.
    Ask(Ask),
    /// List, make or delete spaces.
    Spaces(Spaces),
    /// List the documents of the space.
    Documents {
        /// Only those with all of these tags, separated by commas.
        #[arg(long, value_name = "WORDS", value_delimiter = ',')]
        tags: Vec<String>,
        /// Only those in this state.
        #[arg(long, value_enum)]
        state: Option<State>,
    },
    /// Delete documents of the space.
    Delete {
        /// Their ids or names, as `documents` lists them.
        #[arg(value_name = "DOCUMENT", required = true)]
        documents: Vec<String>,
    },
    /// Write the space to a file, as one archive.
    Export {
        /// The file; it is there when it is complete.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Leave out the vectors; they are made anew by the import.
        #[arg(long)]
        omit_vectors: bool,
    },
    /// Make a space from an archive.
    Import {
        /// The archive.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The id of the new space. Default: as in the archive.
        #[arg(long = "as", value_name = "ID")]
        id: Option<String>,
    },
    /// Train the classifier of documents' kinds on folders of examples: one folder a kind, named for it.
    TrainClassifier {
        /// The folder with a folder for each kind.
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// Where the classifier is written. Default: where rag looks for it on this machine.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// The embedding model. Default: that of llm-proxy.
        #[arg(long, value_name = "ID")]
        model: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ingest {
    /// Files and folders. Hidden ones are left out, and so is what is of no known type.
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Words for every document, separated by commas.
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    pub(crate) tags: Vec<String>,
    /// The kind of every document. Default: found.
    #[arg(long, value_name = "KIND")]
    pub(crate) doc_type: Option<String>,
    /// The language of every document, as `en`. Default: found.
    #[arg(long, value_name = "CODE")]
    pub(crate) language: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Search {
    /// What is looked for.
    #[arg(value_name = "QUERY")]
    pub(crate) query: String,
    /// How many passages.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) top: u32,
    /// How the vector and the lexical search are joined.
    #[arg(long, value_enum)]
    pub(crate) fusion: Option<Fusion>,
    /// Order the best anew with a cross-encoder.
    #[arg(long)]
    pub(crate) rerank: bool,
    #[command(flatten)]
    pub(crate) only: Only,
    /// Show what each score is made of.
    #[arg(long)]
    pub(crate) explain: bool,
    /// Give up after this long.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ask {
    /// The question.
    #[arg(value_name = "QUESTION")]
    pub(crate) question: String,
    /// The language model. Default: that of the server.
    #[arg(long, value_name = "ID", conflicts_with = "extractive")]
    pub(crate) model: Option<String>,
    /// Answer with sentences of the documents, without a language model.
    #[arg(long)]
    pub(crate) extractive: bool,
    /// Suggest questions that follow.
    #[arg(long)]
    pub(crate) related: bool,
    /// Do not take the answer from the cache.
    #[arg(long)]
    pub(crate) fresh: bool,
    #[command(flatten)]
    pub(crate) only: Only,
    /// Give up after this long.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
}

/// Which documents are looked at.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Only {
    /// Only documents with all of these tags, separated by commas.
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    pub(crate) tags: Vec<String>,
    /// Only documents of one of these kinds, separated by commas.
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub(crate) doc_types: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Spaces {
    #[command(subcommand)]
    pub(crate) command: Option<SpacesCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SpacesCommand {
    /// List your spaces.
    List,
    /// Make a space.
    Create {
        /// Its id.
        #[arg(value_name = "ID")]
        id: String,
        /// A title for a person.
        #[arg(long, value_name = "TEXT")]
        title: Option<String>,
        /// The embedding model. Default: that of the server.
        #[arg(long, value_name = "ID")]
        embedding_model: Option<String>,
        /// The language of its documents, as `en`. Default: found by document.
        #[arg(long, value_name = "CODE")]
        language: Option<String>,
    },
    /// Delete a space.
    Delete {
        /// Its id.
        #[arg(value_name = "ID")]
        id: String,
        /// Also if there are documents in it.
        #[arg(long)]
        force: bool,
    },
}

/// How two searches are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fusion {
    /// Scores scaled by the smallest and the largest.
    RelativeScore,
    /// Reciprocal ranks.
    Rrf,
    /// Scores scaled by mean and deviation.
    Dbsf,
    /// The vector search alone.
    Dense,
    /// The lexical search alone.
    Lexical,
}

/// Where a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// Stored, not looked at yet.
    Stored,
    /// Being parsed, cut and indexed.
    Indexing,
    /// Found by searches.
    Ready,
    /// It failed.
    Failed,
}
