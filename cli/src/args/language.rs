//! The arguments of what talks with language models.

use std::time::Duration;

use super::seconds;

#[derive(Debug, clap::Args)]
pub(crate) struct Chat {
    /// What to ask, or `-` for standard input. Default: a conversation on a terminal, else standard input.
    #[arg(value_name = "PROMPT|-")]
    pub(crate) prompt: Option<String>,
    /// The model or an alias. Default: the server's.
    #[arg(long, value_name = "ID")]
    pub(crate) model: Option<String>,
    /// Rules for the model.
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// How much chance there is in the answer, 0 to 2. Default: the model's.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) temperature: Option<f32>,
    /// The longest answer, in tokens.
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<u32>,
    /// Give up on an answer after this long.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
}
