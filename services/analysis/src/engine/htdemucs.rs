//! htdemucs on ONNX Runtime: a segment of a mix in, the same segment of each stem out.
//!
//! Two kinds of exports are understood, told apart by their shapes, whatever their ports are called: whole ones, from
//! `[1, C, L]` to `[1, S, C, L]`, and cores, which leave the transforms outside and take a spectrogram `[1, 2C, F, T]` beside
//! the mix and give one for each stem beside its waveform (`layout`). Several graphs are a bag: used together, each for the
//! stem that its file is named for, or all for all. What happens before and after is [`separation`].

mod layout;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use polyphony_audio::pcm::{Pcm, SampleRate, Spec};
use polyphony_inference::ort::inputs;
use polyphony_inference::ort::value::TensorRef;
use polyphony_inference::{
    Cancel, InferenceConfig, Placement, Runtime, SessionPool, SessionSettings, TerminateOn,
};
use polyphony_models::{Installed, Provenance};

use self::layout::{Kind, Layout};
use crate::domain::{SeparationOptions, SeparationPlan};
use crate::engine::{Error, SeparationEngine, Separator, StemSink};
use crate::separation::{self, Network, Shape, StreamSeparator};

/// The engine's name, in the catalogue and in receipts.
pub const NAME: &str = "htdemucs";

/// The rate of all demucs models but those that say otherwise.
const RATE: u32 = 44_100;

/// A model, loaded: one graph or a bag of them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HtDemucs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    graphs: Vec<Graph>,
    shape: Shape,
    width: usize,
    provenance: Provenance,
}

#[derive(Debug)]
struct Graph {
    sessions: SessionPool,
    layout: Layout,
}

/// Loads a model of the store.
///
/// # Errors
/// As [`HtDemucs::load`].
pub fn load(
    installed: &Installed,
    runtime: &Runtime,
    config: &InferenceConfig,
) -> Result<Arc<dyn SeparationEngine>, Error> {
    let model = installed.model.id.to_string();
    let digest = format!("sha256:{}", installed.digest);
    Ok(Arc::new(HtDemucs::load(
        &super::graphs(installed),
        model,
        digest,
        runtime,
        config,
    )?))
}

// === impl HtDemucs ===

impl HtDemucs {
    /// Opens the graphs. `model` and `digest` are told in receipts. Nothing is run: a segment takes seconds.
    ///
    /// One session with all threads is opened for each graph, unless `config` asks for more: a session of htdemucs takes
    /// some gigabytes (5 were seen), so that memory ends before processors do.
    ///
    /// # Errors
    /// [`Error::Request`] when ONNX Runtime or the device is missing, with the remedy; [`Error::Engine`] when a file is
    /// not a model of this kind, or the files of a bag do not go together.
    pub fn load(
        graphs: &[PathBuf],
        model: impl Into<String>,
        digest: impl Into<String>,
        runtime: &Runtime,
        config: &InferenceConfig,
    ) -> Result<Self, Error> {
        let inference = |error| Error::inference(NAME, error);
        let loaded = runtime.get().map_err(inference)?;
        let Placement { device, fallback } = config.device.place(loaded).map_err(inference)?;
        if let Some(reason) = fallback {
            tracing::info!(reason, "running on the processor");
        }
        let narrow = InferenceConfig {
            sessions: config.sessions.or(Some(NonZeroUsize::MIN)),
            ..config.clone()
        };
        let (sessions, threads) = narrow.width(device.is_gpu());
        let settings = SessionSettings {
            device,
            threads,
            fixed_shapes: true,
        };
        let open = |path: &PathBuf| -> Result<Graph, Error> {
            let pool = SessionPool::open(loaded, path, settings, sessions).map_err(inference)?;
            let layout = layout::read(&pool).map_err(|problem| {
                Error::engine(
                    NAME,
                    format!("{} is no htdemucs export: {problem}", path.display()),
                )
            })?;
            Ok(Graph {
                sessions: pool,
                layout,
            })
        };
        let opened = graphs.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let shape = bag(graphs, &opened).map_err(|problem| Error::engine(NAME, problem))?;
        Ok(Self {
            shared: Arc::new(Shared {
                graphs: opened,
                shape,
                width: sessions.get(),
                provenance: Provenance {
                    engine: NAME,
                    version: format!("onnxruntime {}", loaded.version()),
                    model: model.into(),
                    digest: digest.into(),
                    device: device.to_string(),
                    degraded: None,
                },
            }),
        })
    }
}

/// What several graphs can do together.
fn bag(paths: &[PathBuf], graphs: &[Graph]) -> Result<Shape, String> {
    let [first, others @ ..] = graphs else {
        return Err("the model has no graph".to_owned());
    };
    let like = |graph: &Graph| {
        let (a, b) = (&graph.layout, &first.layout);
        (a.rate, a.channels, a.segment, &a.stems) == (b.rate, b.channels, b.segment, &b.stems)
    };
    if !others.iter().all(like) {
        return Err("the graphs of a bag differ in rate, channels, segment or stems".to_owned());
    }
    let Layout {
        rate,
        channels,
        segment,
        stems,
        ..
    } = &first.layout;
    let rate = rate.unwrap_or(RATE);
    Ok(Shape {
        rate: SampleRate::new(rate).map_err(|_| format!("{rate} Hz is no rate of sound"))?,
        channels: *channels,
        segment: *segment,
        weights: weights(paths, stems),
        stems: stems.clone(),
    })
}

/// In a bag of specialists, as htdemucs_ft is, each file is named for its stem and counts for it alone. Else all count alike.
fn weights(paths: &[PathBuf], stems: &[String]) -> Vec<Vec<f32>> {
    let named = |path: &PathBuf| -> Option<usize> {
        let name = path.file_stem()?.to_str()?.to_lowercase();
        let mut words = name.split(|c: char| !c.is_alphanumeric());
        words.find_map(|word| stems.iter().position(|stem| stem == word))
    };
    let specialists: Vec<Option<usize>> = paths.iter().map(named).collect();
    let all = (0..stems.len()).all(|stem| specialists.contains(&Some(stem)));
    let row = |specialist: &Option<usize>| -> Vec<f32> {
        let counts = |stem: usize| !all || *specialist == Some(stem);
        (0..stems.len())
            .map(|stem| if counts(stem) { 1.0 } else { 0.0 })
            .collect()
    };
    specialists.iter().map(row).collect()
}

impl Network for HtDemucs {
    fn shape(&self) -> &Shape {
        &self.shared.shape
    }

    fn width(&self) -> usize {
        self.shared.width
    }

    fn run(&self, network: usize, mix: Vec<f32>, cancel: &Cancel) -> Result<Vec<f32>, Error> {
        let ort = |error| Error::ort(NAME, error);
        let Graph { sessions, layout } = &self.shared.graphs[network];
        let (channels, length) = (layout.channels, layout.segment);
        let wave = TensorRef::from_array_view(([1, channels, length], mix.as_slice())).map_err(ort)?;
        let spectrogram = layout.spectrogram(&mix);
        let is_cancelled = || cancel.is_cancelled();
        let mut session = sessions
            .lease_unless(is_cancelled)
            .map_err(|error| Error::inference(NAME, error))?;
        let stems = TerminateOn::new(is_cancelled)
            .run(|options| match &layout.kind {
                Kind::Whole { stems } => {
                    let outputs = session.run_with_options(inputs![wave], options)?;
                    Ok(outputs[stems.as_str()].try_extract_tensor::<f32>()?.1.to_vec())
                }
                Kind::Core(core) => {
                    let shape = [1, 2 * channels, core.bins(), core.frames()];
                    let spec = TensorRef::from_array_view((shape, spectrogram.as_slice()))?;
                    let outputs =
                        session.run_with_options(inputs![&core.mix => wave, &core.spec => spec], options)?;
                    let (_, waves) = outputs[core.wave_out.as_str()].try_extract_tensor::<f32>()?;
                    let (_, specs) = outputs[core.spec_out.as_str()].try_extract_tensor::<f32>()?;
                    Ok(core.join(waves, specs, length))
                }
            })
            .map_err(|error| Error::inference(NAME, error))?;
        if stems.len() != layout.stems.len() * channels * length
            || stems.iter().any(|sample| !sample.is_finite())
        {
            return Err(Error::engine(
                NAME,
                "the model's output is not one number a sample",
            ));
        }
        Ok(stems)
    }
}

impl SeparationEngine for HtDemucs {
    fn provenance(&self) -> &Provenance {
        &self.shared.provenance
    }

    fn stems(&self) -> &[String] {
        &self.shared.shape.stems
    }

    fn plan(&self, options: &SeparationOptions) -> Result<SeparationPlan, Error> {
        separation::plan(&self.shared.shape, options)
    }

    fn separate(
        &self,
        mix: &Pcm,
        plan: &SeparationPlan,
        cancel: &Cancel,
        sink: &mut dyn StemSink,
    ) -> Result<(), Error> {
        separation::separate(self.clone(), mix, plan, cancel, sink)
    }

    fn separator(
        &self,
        mix: Spec,
        plan: &SeparationPlan,
        cancel: &Cancel,
    ) -> Result<Box<dyn Separator>, Error> {
        Ok(Box::new(StreamSeparator::new(self.clone(), mix, plan, cancel)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(files: &[&str]) -> Vec<Vec<f32>> {
        let stems = ["drums", "bass", "other", "vocals"].map(str::to_owned);
        let paths: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        weights(&paths, &stems)
    }

    #[test]
    fn specialists_count_for_the_stem_that_they_are_named_for() {
        let files = [
            "a/ft_drums_fp16weights.onnx",
            "a/ft_bass.onnx",
            "a/ft_other.onnx",
            "a/FT-vocals.onnx",
        ];
        let expected: Vec<Vec<f32>> = (0..4)
            .map(|file| (0..4).map(|stem| if stem == file { 1.0 } else { 0.0 }).collect())
            .collect();
        assert_eq!(rows(&files), expected);
        assert_eq!(
            rows(&files[..2]),
            vec![vec![1.0; 4]; 2],
            "not every stem has its own"
        );
        assert_eq!(rows(&["htdemucs.onnx"]), [[1.0; 4]]);
    }
}
