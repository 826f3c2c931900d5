//! The arguments of what hears and speaks besides `transcribe`.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use super::{Raw, seconds};

#[derive(Debug, clap::Args)]
pub(crate) struct Align {
    /// A recording (WAV, FLAC, MP3, Ogg, M4A, WebM), or `-` for standard input.
    #[arg(value_name = "AUDIO|-")]
    pub(crate) audio: PathBuf,
    /// A file with the text that is said in it.
    #[arg(
        value_name = "TEXT",
        required_unless_present = "text",
        conflicts_with = "text"
    )]
    pub(crate) transcript: Option<PathBuf>,
    /// The text itself.
    #[arg(long, value_name = "WORDS")]
    pub(crate) text: Option<String>,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: AlignFormat,
    /// The language of the text, as `de` or `pt-BR`.
    #[arg(long, value_name = "CODE", default_value = "en")]
    pub(crate) language: String,
    /// The model. Default: the best on disk for the language.
    #[arg(long, value_name = "ID")]
    pub(crate) model: Option<String>,
    /// Give the time of each character as well (JSON and TextGrid).
    #[arg(long)]
    pub(crate) characters: bool,
    /// Give the time of each phone as well (JSON and TextGrid).
    #[arg(long)]
    pub(crate) phones: bool,
    #[command(flatten)]
    pub(crate) raw: Raw,
    /// Give up after this long.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
}

/// How an alignment is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum AlignFormat {
    /// A word a line: beginning, end, word.
    #[default]
    Text,
    /// Everything, as JSON, a word a line.
    Json,
    /// SubRip captions.
    Srt,
    /// WebVTT captions.
    Vtt,
    /// Praat's TextGrid.
    Textgrid,
    /// NIST's CTM.
    Ctm,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Diarize {
    /// A recording (WAV, FLAC, MP3, Ogg, M4A, WebM), or `-` for standard input.
    #[arg(value_name = "AUDIO|-")]
    pub(crate) audio: PathBuf,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: DiarizeFormat,
    /// Exactly so many people. Default: found out.
    #[arg(long, value_name = "N", conflicts_with_all = ["min_speakers", "max_speakers"])]
    pub(crate) speakers: Option<u32>,
    /// At least so many people.
    #[arg(long, value_name = "N")]
    pub(crate) min_speakers: Option<u32>,
    /// At most so many people.
    #[arg(long, value_name = "N")]
    pub(crate) max_speakers: Option<u32>,
    /// One person at a time, as a transcript needs it.
    #[arg(long)]
    pub(crate) exclusive: bool,
    /// Name people who are enrolled.
    #[arg(long)]
    pub(crate) identify: bool,
    /// The model. Default: the best on disk.
    #[arg(long, value_name = "ID")]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) raw: Raw,
    /// Give up after this long.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
}

/// How a diarization is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiarizeFormat {
    /// A segment a line: beginning, end, who.
    #[default]
    Text,
    /// NIST's Rich Transcription Time Marked.
    Rttm,
    /// Everything, as JSON, a segment a line.
    Json,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Say {
    /// What to say, or `-` for standard input, spoken as it comes.
    #[arg(value_name = "TEXT|-", required_unless_present = "list_voices")]
    pub(crate) text: Option<String>,
    /// Where to write the sound; the name says how: .wav, .flac, .opus, .ogg, .mp3, or .raw (16-bit samples). `-` is
    /// WAV on standard output.
    #[arg(short, long, value_name = "FILE", required_unless_present = "list_voices")]
    pub(crate) output: Option<PathBuf>,
    /// The voice. Default: the model's first for the language; --list-voices shows them.
    #[arg(long, value_name = "NAME")]
    pub(crate) voice: Option<String>,
    /// The language, as `en` or `pt-BR`. Default: the voice's.
    #[arg(long, value_name = "CODE")]
    pub(crate) language: Option<String>,
    /// The model. Default: the best on disk for the language.
    #[arg(long, value_name = "ID")]
    pub(crate) model: Option<String>,
    /// How fast, 0.25 to 4.
    #[arg(long, value_name = "FACTOR")]
    pub(crate) rate: Option<f32>,
    /// How much higher, in semitones, -20 to 20.
    #[arg(long, value_name = "SEMITONES", allow_negative_numbers = true)]
    pub(crate) pitch: Option<f32>,
    /// How much louder, in decibel, -96 to 16.
    #[arg(long, value_name = "DECIBEL", allow_negative_numbers = true)]
    pub(crate) volume: Option<f32>,
    /// The text is SSML.
    #[arg(long)]
    pub(crate) ssml: bool,
    /// Print each word with its time as it is spoken.
    #[arg(long)]
    pub(crate) words: bool,
    /// List the voices and say nothing.
    #[arg(long)]
    pub(crate) list_voices: bool,
    /// Give up after this long.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
}
