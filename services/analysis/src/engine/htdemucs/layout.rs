//! What a graph takes and gives, told by its shapes, and the transforms of those that leave them outside.

use std::collections::BTreeSet;

use polyphony_inference::ort::value::TensorElementType;
use polyphony_inference::{Port, SessionPool};

use crate::separation::Transform;

/// How a graph is to be run.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) kind: Kind,
    pub(super) channels: usize,
    /// Samples of a segment.
    pub(super) segment: usize,
    pub(super) stems: Vec<String>,
    /// Samples a second, where the file says it.
    pub(super) rate: Option<u32>,
}

/// Where the transforms are.
#[derive(Debug)]
pub(super) enum Kind {
    /// In the graph: `[1, C, L]` to `[1, S, C, L]`.
    Whole {
        /// The output's name.
        stems: String,
    },
    /// Here.
    Core(Box<Core>),
}

/// The ports of a core by name, and its transform.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) mix: String,
    pub(super) spec: String,
    pub(super) spec_out: String,
    pub(super) wave_out: String,
    transform: Transform,
    bins: usize,
}

/// The stems of the models that do not name them, in demucs' order: of htdemucs and of htdemucs_6s.
const STEMS: [&str; 6] = ["drums", "bass", "other", "vocals", "guitar", "piano"];
/// More is no model of stems.
const MOST_STEMS: usize = 64;

/// Reads what a graph says of itself. The error says what is not as it should be.
pub(super) fn read(sessions: &SessionPool) -> Result<Layout, String> {
    let (inputs, outputs) = (sessions.inputs(), sessions.outputs());
    if inputs
        .iter()
        .chain(outputs)
        .any(|port| port.element != Some(TensorElementType::Float32))
    {
        return Err("a port is not of 32-bit floats".to_owned());
    }
    let mix = inputs.iter().find_map(|port| match sizes(port)[..] {
        [_, channels, segment] if channels * segment > 0 => Some((port, channels, segment)),
        _ => None,
    });
    let Some((mix, channels, segment)) = mix else {
        return Err("no input is a mix, [1, channels, samples], of a fixed length".to_owned());
    };
    let elements = |port: &Port| sizes(port).iter().product::<usize>();
    let is_wave = |port: &Port| sizes(port).last() == Some(&segment);
    let (kind, wave_out) = match (inputs, outputs) {
        ([_], [stems]) if is_wave(stems) => {
            let name = stems.name.clone();
            (Kind::Whole { stems: name }, stems)
        }
        ([_, _], [a, b]) => {
            let spec = inputs.iter().find(|port| port.name != mix.name).unwrap_or(mix);
            let (wave_out, spec_out) = if is_wave(a) { (a, b) } else { (b, a) };
            let [_, planes, bins, frames] = sizes(spec)[..] else {
                return Err(
                    "the second input is not a spectrogram, [1, 2 * channels, bins, frames]".to_owned(),
                );
            };
            let transform = Transform::new(segment, bins).filter(|transform| transform.frames() == frames);
            // As many spectrograms as waveforms.
            let fits = planes == 2 * channels
                && is_wave(wave_out)
                && sizes(spec_out).ends_with(&[bins, frames])
                && elements(spec_out) * segment * channels == elements(wave_out) * planes * bins * frames;
            let (true, Some(transform)) = (fits, transform) else {
                return Err(format!(
                    "{} is not how demucs makes spectrograms of {}, or its outputs are not like them",
                    shapes(std::slice::from_ref(spec)),
                    shapes(std::slice::from_ref(mix))
                ));
            };
            let core = Core {
                mix: mix.name.clone(),
                spec: spec.name.clone(),
                spec_out: spec_out.name.clone(),
                wave_out: wave_out.name.clone(),
                transform,
                bins,
            };
            (Kind::Core(Box::new(core)), wave_out)
        }
        _ => {
            return Err(format!(
                "expected mix to stems, or mix and spectrogram to both of each stem; it has {} to {}",
                shapes(inputs),
                shapes(outputs)
            ));
        }
    };
    let count = elements(wave_out) / (channels * segment);
    let stems: Vec<String> = match note(sessions, "sources") {
        Some(names) => names.split(',').map(|name| name.trim().to_lowercase()).collect(),
        None if [4, 6].contains(&count) => STEMS[..count].iter().map(|stem| (*stem).to_owned()).collect(),
        None => {
            return Err(format!(
                "it has {count} stems and no metadata \"sources\" that names them"
            ));
        }
    };
    let distinct: BTreeSet<&String> = stems.iter().collect();
    if [stems.len(), distinct.len()] != [count, count] || count > MOST_STEMS {
        return Err(format!(
            "it has {count} stems and names {}: {}",
            stems.len(),
            stems.join(", ")
        ));
    }
    Ok(Layout {
        kind,
        channels,
        segment,
        stems,
        rate: note(sessions, "samplerate").and_then(|rate| rate.trim().parse().ok()),
    })
}

fn shapes(ports: &[Port]) -> String {
    let shape = |port: &Port| format!("{} {:?}", port.name, port.shape);
    ports.iter().map(shape).collect::<Vec<_>>().join(", ")
}

/// The shape, 0 where the graph leaves it open.
fn sizes(port: &Port) -> Vec<usize> {
    port.shape
        .iter()
        .map(|size| usize::try_from(*size).unwrap_or(0))
        .collect()
}

/// A line of the file's metadata.
fn note(sessions: &SessionPool, key: &str) -> Option<String> {
    let session = sessions.lease();
    let metadata = session.metadata().ok()?;
    metadata.custom(key)
}

// === impl Layout ===

impl Layout {
    /// The spectrogram that a core hears beside the mix; empty for whole exports.
    pub(super) fn spectrogram(&self, mix: &[f32]) -> Vec<f32> {
        let mut out = Vec::new();
        if let Kind::Core(core) = &self.kind {
            for channel in mix.chunks_exact(self.segment) {
                core.transform.analyse(channel, &mut out);
            }
        }
        out
    }
}

// === impl Core ===

impl Core {
    pub(super) fn bins(&self) -> usize {
        self.bins
    }

    pub(super) fn frames(&self) -> usize {
        self.transform.frames()
    }

    /// The waveforms of both branches added.
    pub(super) fn join(&self, waves: &[f32], specs: &[f32], length: usize) -> Vec<f32> {
        let mut stems = waves.to_vec();
        let planes = specs.chunks_exact(2 * self.bins * self.frames());
        for (stem, spec) in stems.chunks_exact_mut(length).zip(planes) {
            self.transform.synthesise(spec, stem);
        }
        stems
    }
}
