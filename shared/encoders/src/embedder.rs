//! Texts to vectors whose cosines say how near their meanings are.

use polyphony_inference::{Cancel, Error as InferenceError, InferenceConfig, Runtime, crew};
use polyphony_models::Provenance;

use crate::error::{Error, Input};
use crate::folder::Folder;
use crate::network::{Network, Said, Wanted};
use crate::pairs::provenance;
use crate::pooling;
use crate::settings::{Pooling, Settings};
use crate::tokenizer::{Encoded, Tokenizer, Truncation};

/// A loaded embedding model, for callers on many threads.
#[derive(Debug)]
pub struct Embedder {
    tokenizer: Tokenizer,
    network: Network,
    settings: Settings,
    info: EmbedderInfo,
}

/// What is known of an embedding model.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbedderInfo {
    /// With what vectors are made.
    pub made: Provenance,
    /// How many numbers a vector has.
    pub dimensions: usize,
    /// The first dimensions are vectors by themselves, so fewer can be asked for.
    pub nested: bool,
    /// The most tokens of a text, with those that the model adds.
    pub max_tokens: usize,
    /// How the vectors of tokens become one. From the files alone it is not told whether the graph does it.
    pub pooling: Pooling,
}

/// How texts are embedded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedOptions {
    /// What the texts are.
    pub role: Role,
    /// What to do with texts that are too long.
    pub truncation: Truncation,
    /// Only the first so many dimensions. None: all.
    pub dimensions: Option<usize>,
    /// Scale each vector to length 1.
    pub normalize: bool,
}

/// What a text is, for models that tell queries and documents apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// Taken as it is.
    #[default]
    Plain,
    /// A query; the model's words for queries go before it.
    Query,
    /// A document; the model's words for documents go before it.
    Document,
}

/// The vector of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// The vector.
    pub vector: Vec<f32>,
    /// How many tokens the model read, with those that it adds.
    pub tokens: usize,
    /// The text was cut.
    pub truncated: bool,
}

// === impl EmbedOptions ===

impl Default for EmbedOptions {
    fn default() -> Self {
        Self {
            role: Role::Plain,
            truncation: Truncation::Refuse,
            dimensions: None,
            normalize: true,
        }
    }
}

// === impl Embedder ===

impl Embedder {
    /// Loads a model and embeds one word, so that what does not fit is found now. `model` and `digest` are told in
    /// receipts; the family that `model` names fills in what its files leave open.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Inference`].
    pub fn load(
        folder: &Folder,
        model: impl Into<String>,
        digest: impl Into<String>,
        runtime: &Runtime,
        config: &InferenceConfig,
    ) -> Result<Self, Error> {
        let (model, digest) = (model.into(), digest.into());
        let mut settings = Settings::read(folder, &model)?;
        let tokenizer = Tokenizer::read(folder)?;
        let network = Network::open(folder, Wanted::Vectors, runtime, config)?;
        if !network.is_per_token() {
            settings.pooling = Pooling::Graph;
        } else if settings.dense {
            let problem = "it ends before the layer that the model has behind its pooling; take an export that gives \
                           \"sentence_embedding\"";
            return Err(InferenceError::unfit(network.path(), problem).into());
        }
        let mut info = info(&settings, model, digest);
        info.made.version.clone_from(&network.version);
        info.made.device.clone_from(&network.device);
        let mut embedder = Self {
            tokenizer,
            network,
            settings,
            info,
        };
        let options = EmbedOptions::default();
        let first = embedder.run(&["a"], usize::MAX, &options, &Cancel::default())?;
        embedder.info.dimensions = first.first().map_or(0, |first| first.vector.len());
        Ok(embedder)
    }

    /// What can be said of a model before it is loaded: all but version and device.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn foretell(
        folder: &Folder,
        model: impl Into<String>,
        digest: impl Into<String>,
    ) -> Result<EmbedderInfo, Error> {
        let model = model.into();
        let settings = Settings::read(folder, &model)?;
        Ok(info(&settings, model, digest.into()))
    }

    /// What is known of it.
    pub const fn info(&self) -> &EmbedderInfo {
        &self.info
    }

    /// Its tokenizer.
    pub const fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The vectors of texts, in their order. Runs on this thread and on others; between two batches it looks whether the
    /// result is still wanted.
    ///
    /// # Errors
    /// [`Error::Input`] with the text at fault, [`Error::Dimensions`], and [`Error::Inference`], among them a cancel.
    pub fn embed(
        &self,
        texts: &[&str],
        options: &EmbedOptions,
        cancel: &Cancel,
    ) -> Result<Vec<Embedded>, Error> {
        let all = self.info.dimensions;
        let dimensions = match options.dimensions {
            None => all,
            Some(wanted) if wanted == all || (self.info.nested && (1..=all).contains(&wanted)) => wanted,
            Some(wanted) => {
                let rest = if self.info.nested {
                    " or fewer"
                } else {
                    ", and was not trained for fewer"
                };
                return Err(Error::Dimensions {
                    wanted,
                    all,
                    rest: rest.to_owned(),
                });
            }
        };
        self.run(texts, dimensions, options, cancel)
    }

    fn run(
        &self,
        texts: &[&str],
        dimensions: usize,
        options: &EmbedOptions,
        cancel: &Cancel,
    ) -> Result<Vec<Embedded>, Error> {
        let before = match options.role {
            Role::Plain => "",
            Role::Query => &self.settings.query,
            Role::Document => &self.settings.document,
        };
        let encoded = crew::each(texts.len(), self.network.sessions(), |place| {
            if cancel.is_cancelled() {
                return Err(InferenceError::Cancelled.into());
            }
            self.encode(before, texts[place], Input::Text(place), options.truncation)
        })?;
        self.network.each(&encoded, cancel, |place, said| {
            let vector = match said {
                Said::Text(numbers) => numbers,
                Said::Tokens {
                    numbers,
                    tokens,
                    width,
                } => pooling::pool(&numbers, tokens, width, self.settings.pooling),
            };
            Ok(Embedded {
                vector: pooling::finish(vector, dimensions, options.normalize)?,
                tokens: encoded[place].ids.len(),
                truncated: encoded[place].truncated,
            })
        })
    }

    fn encode(
        &self,
        before: &str,
        text: &str,
        input: Input,
        truncation: Truncation,
    ) -> Result<Encoded, Error> {
        let most = self.settings.max_tokens;
        if before.is_empty() {
            return self.tokenizer.encode(text, input, most, truncation);
        }
        // With words before it no text is empty: it is looked at alone first.
        self.tokenizer.encode(text, input, usize::MAX, truncation)?;
        self.tokenizer
            .encode(&format!("{before}{text}"), input, most, truncation)
    }
}

fn info(settings: &Settings, model: String, digest: String) -> EmbedderInfo {
    EmbedderInfo {
        made: provenance(model, digest),
        dimensions: settings.dimensions.unwrap_or(0),
        nested: settings.nested,
        max_tokens: settings.max_tokens,
        pooling: settings.pooling,
    }
}
