//! The command line, and nothing of what it does.

mod film;
mod knowledge;
mod language;
mod speech;
mod works;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::up::SERVICES;

pub(crate) use film::{Generate, Spec, Video, VideoCommand, VideoPriority, VideoSampler, VideoState};
pub(crate) use knowledge::{
    Ask, Fusion, Ingest, Only, Rag, RagCommand, Search, Spaces, SpacesCommand, State,
};
pub(crate) use language::Chat;
pub(crate) use speech::{Align, AlignFormat, Diarize, DiarizeFormat, Say};
pub(crate) use works::{Ocr, OcrFormat, Pitch, PitchFormat, Stems};

/// Self-hosted AI media services over gRPC: run the mesh, talk to it, manage models.
#[derive(Debug, Parser)]
#[command(name = "polyphony", version, propagate_version = true)]
pub(crate) struct Args {
    /// Print JSON, one object a line, instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) mesh: Mesh,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which mesh to talk to.
#[derive(Debug, clap::Args)]
pub(crate) struct Mesh {
    /// Where the mesh listens: http://HOST:PORT or https://HOST:PORT.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "POLYPHONY_GATEWAY_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) gateway: String,
    /// PEM file with the authorities that are trusted; https needs it.
    #[arg(long, global = true, value_name = "FILE", env = "POLYPHONY_GATEWAY_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// PEM file with our certificate, for a mesh that wants one.
    #[arg(long, global = true, value_name = "FILE", env = "POLYPHONY_GATEWAY_CERT")]
    pub(crate) cert: Option<PathBuf>,
    /// PEM file with the private key of --cert.
    #[arg(long, global = true, value_name = "FILE", env = "POLYPHONY_GATEWAY_KEY")]
    pub(crate) key: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run every service in this process, behind the gateway.
    Up(Up),
    /// Write down what is said in a recording.
    Transcribe(Transcribe),
    /// Tell when each word of a known text is said in a recording.
    Align(Align),
    /// Tell who speaks when in a recording.
    Diarize(Diarize),
    /// Speak a text.
    Say(Say),
    /// Read the text of an image or document.
    Ocr(Ocr),
    /// Search documents, and have questions answered from them.
    Rag(Rag),
    /// Talk with a language model.
    Chat(Chat),
    /// Tell the pitch of a voice or instrument over time.
    Pitch(Pitch),
    /// Take a mix of music apart into its stems.
    Stems(Stems),
    /// Make videos, watch them, cancel them, fetch them.
    Video(Video),
    /// List, pull, load and unload models.
    Models(Models),
    /// Check this machine: libraries, models, GPU, and the command that mends what is missing.
    Doctor(Doctor),
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Where the config comes from: the same for every process.
#[derive(Debug, clap::Args)]
pub(crate) struct Config {
    /// The config file. Default: ./polyphony.toml, else /etc/polyphony/polyphony.toml, if there.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Set one key, as `asr.max_streams=8`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Run only these services, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = SERVICES)]
    pub(crate) only: Vec<String>,
    /// Print the config that is in effect, with where each key comes from, and exit.
    #[arg(long)]
    pub(crate) dump_config: bool,
    /// Check the config and exit: 0 when it is good, 64 when it is not.
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Transcribe {
    /// A recording (WAV, FLAC, MP3, Ogg, M4A, WebM), or `-` for standard input.
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,
    /// Send it piece by piece and show words as they are recognised.
    #[arg(long)]
    pub(crate) stream: bool,
    /// With --stream: send no faster than it was spoken, as a microphone would. Raw samples only.
    #[arg(long, requires = "stream", requires = "encoding")]
    pub(crate) realtime: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// The language, as `en` or `pt-BR`. Default: the model finds out, or its own.
    #[arg(long, value_name = "CODE")]
    pub(crate) language: Option<String>,
    /// The model. Default: the best on disk; `polyphony models list --installed` shows them.
    #[arg(long, value_name = "ID")]
    pub(crate) model: Option<String>,
    /// Translate into English.
    #[arg(long)]
    pub(crate) translate: bool,
    /// Give each word its time by forced alignment. English unless --language says otherwise.
    #[arg(long, conflicts_with = "stream")]
    pub(crate) align: bool,
    /// Say who speaks: words get the label of whoever speaks them.
    #[arg(long, conflicts_with = "stream")]
    pub(crate) diarize: bool,
    /// With --diarize: exactly so many people. Default: found out.
    #[arg(long, value_name = "N", requires = "diarize")]
    pub(crate) speakers: Option<u32>,
    #[command(flatten)]
    pub(crate) raw: Raw,
    /// Give up after this long.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
}

/// Raw samples, which do not say what they are.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Raw {
    /// The input is raw samples of this encoding.
    #[arg(long, value_enum, requires = "rate")]
    pub(crate) encoding: Option<Encoding>,
    /// Samples a second of raw input.
    #[arg(long, value_name = "HERTZ", requires = "encoding")]
    pub(crate) rate: Option<u32>,
    /// Interleaved channels of raw input.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) channels: u32,
}

/// How a transcript is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The text alone.
    #[default]
    Text,
    /// Everything, as JSON.
    Json,
    /// SubRip captions.
    Srt,
    /// WebVTT captions.
    Vtt,
}

/// Raw samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encoding {
    /// Signed 16-bit little-endian.
    Linear16,
    /// 32-bit floating point little-endian.
    Float32,
    /// 8-bit mu-law.
    Mulaw,
    /// 8-bit A-law.
    Alaw,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Models {
    #[command(subcommand)]
    pub(crate) command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// List the models of the catalogue and where they are.
    List {
        /// Only models for this task, as `asr`.
        #[arg(long)]
        task: Option<String>,
        /// Only models that are on disk.
        #[arg(long)]
        installed: bool,
    },
    /// Bring models onto the disk, from the model hub. An interrupted pull is resumed.
    Pull(Pull),
    /// Load a model into memory.
    Load {
        /// The model's id.
        model: String,
        /// Never unload it to make room.
        #[arg(long)]
        pin: bool,
    },
    /// Take a model out of memory.
    Unload {
        /// The model's id.
        model: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Pull {
    /// The models' ids.
    #[arg(required = true, value_name = "MODEL")]
    pub(crate) models: Vec<String>,
    /// A branch, tag or commit of the hub.
    #[arg(long)]
    pub(crate) revision: Option<String>,
    /// Do it in this process, into the folder that the config names (models.dir); no mesh has to run.
    #[arg(long)]
    pub(crate) local: bool,
    /// With --local: copy to this folder what of them came in Python wheels, for machines whose models.wheel_dirs it is.
    #[arg(long, value_name = "DIR", requires = "local")]
    pub(crate) wheels: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) config: Config,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) config: Config,
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|timeout| !timeout.is_zero())
        .ok_or_else(|| "give a number of seconds above 0, as 30 or 2.5".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn raw_input_needs_its_rate() {
        let error =
            Args::try_parse_from(["polyphony", "transcribe", "-", "--encoding", "linear16"]).unwrap_err();
        assert!(error.to_string().contains("--rate"), "{error}");
    }
}
