//! The two graphs: the encoder, and the decoder with its key/value cache.
//!
//! Layout (optimum `automatic-speech-recognition-with-past`, merged): the decoder takes `input_ids`,
//! `encoder_hidden_states`, `use_cache_branch` and `past_key_values.N.{decoder,encoder}.{key,value}`, and gives
//! `logits`, `present.…` and, in "timestamped" exports, `cross_attentions.N`. The first run (`use_cache_branch` false,
//! the past of length 0) makes the keys and values of the encoder, which are kept: later runs give them back empty.
//! All values stay on the device of the sessions; only the scores come to the processor.

use std::num::NonZeroUsize;
use std::path::Path;

use half::f16;
use polyphony_inference::ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use polyphony_inference::ort::session::{IoBinding, SessionOutputs};
use polyphony_inference::ort::value::{DynTensor, DynValue, Tensor, TensorElementType};
use polyphony_inference::{Device, Lease, Loaded, Port, SessionPool, SessionSettings, TerminateOn};

use super::error::WhisperError;
use super::features::WINDOW_FRAMES;
use super::scores::{Attention, Scores};
use crate::domain::Cancel;

/// The graphs of one model. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Network {
    encoder: SessionPool,
    decoder: SessionPool,
    features: TensorElementType,
    mels: usize,
    /// `past_key_values.…` of the decoder itself: grows with each step.
    own: Vec<Cached>,
    /// `past_key_values.….encoder.…`: made by the first run.
    audio: Vec<Cached>,
    /// Whether it gives cross-attentions.
    attends: bool,
}

/// One tensor of the cache.
#[derive(Debug, Clone)]
struct Cached {
    past: String,
    present: String,
    element: TensorElementType,
    heads: i64,
    head_size: i64,
}

/// A window, encoded. On the device.
#[derive(Debug)]
pub(super) struct Encoded(DynValue);

/// A transcript being decoded: a session of its own, and the cache.
#[derive(Debug)]
pub(super) struct Decoding<'a> {
    network: &'a Network,
    binding: IoBinding,
    session: Lease,
    /// Where the cache stays.
    memory: MemoryInfo<'static>,
    /// Where the scores go.
    host: MemoryInfo<'static>,
    cancel: &'a Cancel,
}

// === impl Network ===

impl Network {
    pub(super) fn open(
        runtime: &Loaded,
        encoder: &Path,
        decoder: &Path,
        mels: usize,
        device: Device,
        (sessions, threads): (NonZeroUsize, NonZeroUsize),
    ) -> Result<Self, WhisperError> {
        let open = |path: &Path, fixed_shapes| {
            let settings = SessionSettings {
                device,
                threads,
                fixed_shapes,
            };
            SessionPool::open(runtime, path, settings, sessions)
        };
        let encoder = open(encoder, true)?;
        let decoder = open(decoder, false)?;

        require(&encoder, encoder.inputs(), &["input_features"])?;
        require(&encoder, encoder.outputs(), &["last_hidden_state"])?;
        require(
            &decoder,
            decoder.inputs(),
            &["input_ids", "encoder_hidden_states", "use_cache_branch"],
        )?;
        require(&decoder, decoder.outputs(), &["logits"])?;
        let cache: Vec<Cached> = decoder
            .inputs()
            .iter()
            .filter(|port| port.name.starts_with("past_key_values."))
            .map(|port| Cached::of(&decoder, port))
            .collect::<Result<_, _>>()?;
        let (audio, own): (Vec<_>, Vec<_>) = cache
            .into_iter()
            .partition(|cached| cached.past.contains(".encoder."));
        if own.is_empty() || own.len() != audio.len() || own.len() + audio.len() + 3 != decoder.inputs().len()
        {
            let names: Vec<_> = decoder.inputs().iter().map(|port| port.name.as_str()).collect();
            return Err(unfit(
                &decoder,
                format!("its inputs are not those of a merged Whisper decoder: {names:?}"),
            ));
        }
        let features = encoder.inputs().iter().find(|port| port.name == "input_features");
        Ok(Self {
            features: features
                .and_then(|port| port.element)
                .unwrap_or(TensorElementType::Float32),
            mels,
            attends: decoder
                .outputs()
                .iter()
                .any(|port| port.name == "cross_attentions.0"),
            own,
            audio,
            encoder,
            decoder,
        })
    }

    /// Whether word times can be had from the model.
    pub(super) const fn attends(&self) -> bool {
        self.attends
    }

    /// The decoder's layers.
    pub(super) const fn layers(&self) -> usize {
        self.own.len() / 2
    }

    /// The heads of a layer.
    pub(super) fn heads(&self) -> usize {
        self.own
            .first()
            .and_then(|cached| usize::try_from(cached.heads).ok())
            .unwrap_or(0)
    }

    /// Encodes a window of `[mels][3000]` features.
    pub(super) fn encode(&self, features: Vec<f32>, cancel: &Cancel) -> Result<Encoded, WhisperError> {
        let shape = [1, self.mels, WINDOW_FRAMES];
        let features: DynValue = match self.features {
            TensorElementType::Float16 => {
                let halves: Vec<f16> = features.into_iter().map(f16::from_f32).collect();
                Tensor::from_array((shape, halves))?.into_dyn()
            }
            _ => Tensor::from_array((shape, features))?.into_dyn(),
        };
        let mut session = self.encoder.lease_unless(|| cancel.is_cancelled())?;
        let mut binding = session.create_binding()?;
        binding.bind_input("input_features", &features)?;
        binding.bind_output_to_device("last_hidden_state", &memory_of(self.encoder.settings().device)?)?;
        let stoppable = TerminateOn::new(|| cancel.is_cancelled());
        let hidden = stoppable.run(|options| {
            let mut outputs = session.run_binding_with_options(&binding, options)?;
            Ok(outputs.remove("last_hidden_state"))
        })?;
        hidden.map(Encoded).ok_or_else(|| lacks("last_hidden_state"))
    }

    /// Begins to decode a window.
    pub(super) fn decode<'a>(
        &'a self,
        audio: &Encoded,
        cancel: &'a Cancel,
    ) -> Result<Decoding<'a>, WhisperError> {
        let session = self.decoder.lease_unless(|| cancel.is_cancelled())?;
        let mut binding = session.create_binding()?;
        binding.bind_input("encoder_hidden_states", &audio.0)?;
        for cached in self.own.iter().chain(&self.audio) {
            binding.bind_input(cached.past.as_str(), &cached.nothing()?)?;
        }
        Ok(Decoding {
            network: self,
            binding,
            session,
            memory: memory_of(self.decoder.settings().device)?,
            host: memory_of(Device::Cpu)?,
            cancel,
        })
    }
}

fn require(pool: &SessionPool, ports: &[Port], names: &[&str]) -> Result<(), WhisperError> {
    match names
        .iter()
        .find(|name| !ports.iter().any(|port| port.name == **name))
    {
        None => Ok(()),
        Some(name) => Err(unfit(pool, format!("it has no \"{name}\""))),
    }
}

fn unfit(pool: &SessionPool, problem: String) -> WhisperError {
    polyphony_inference::Error::unfit(pool.path(), problem).into()
}

pub(super) fn lacks(name: &str) -> WhisperError {
    WhisperError::Output(format!("no \"{name}\""))
}

/// Where values stay between runs.
fn memory_of(device: Device) -> Result<MemoryInfo<'static>, WhisperError> {
    let (name, index) = match device {
        Device::Cpu => (AllocationDevice::CPU, 0),
        Device::Cuda(index) => (AllocationDevice::CUDA, i32::try_from(index).unwrap_or(i32::MAX)),
    };
    Ok(MemoryInfo::new(
        name,
        index,
        AllocatorType::Device,
        MemoryType::Default,
    )?)
}

// === impl Cached ===

impl Cached {
    fn of(decoder: &SessionPool, port: &Port) -> Result<Self, WhisperError> {
        let odd = || {
            unfit(
                decoder,
                format!("\"{}\" is not [batch, heads, length, head size]", port.name),
            )
        };
        let (
            Some(element @ (TensorElementType::Float32 | TensorElementType::Float16)),
            &[_, heads, _, head_size],
        ) = (port.element, port.shape.as_slice())
        else {
            return Err(odd());
        };
        if heads < 1 || head_size < 1 {
            return Err(odd());
        }
        let past = port.name.clone();
        let present = past.replacen("past_key_values", "present", 1);
        require(decoder, decoder.outputs(), &[&present])?;
        Ok(Self {
            past,
            present,
            element,
            heads,
            head_size,
        })
    }

    /// A past of length 0.
    fn nothing(&self) -> Result<DynTensor, WhisperError> {
        Ok(DynTensor::new(
            &Allocator::default(),
            self.element,
            [1, self.heads, 0, self.head_size],
        )?)
    }
}

// === impl Decoding ===

impl Decoding<'_> {
    /// Puts in the first tokens.
    pub(super) fn start(&mut self, tokens: &[u32]) -> Result<Scores, WhisperError> {
        let network = self.network;
        let mut outputs = run(self, tokens, false, &[&network.own, &network.audio], &[])?;
        let scores = Scores::of(&mut outputs)?;
        let cache = take(&mut outputs, network.own.iter().chain(&network.audio))?;
        drop(outputs);
        self.keep(cache)?;
        Ok(scores)
    }

    /// Puts in the next token.
    pub(super) fn step(&mut self, token: u32) -> Result<Scores, WhisperError> {
        let network = self.network;
        let mut outputs = run(self, &[token], true, &[&network.own], &[])?;
        let scores = Scores::of(&mut outputs)?;
        let cache = take(&mut outputs, network.own.iter())?;
        drop(outputs);
        self.keep(cache)?;
        Ok(scores)
    }

    /// Puts in all tokens of a finished transcript, and gives the cross-attentions of these layers besides.
    pub(super) fn attend(
        &mut self,
        tokens: &[u32],
        layers: &[usize],
    ) -> Result<(Scores, Vec<Attention>), WhisperError> {
        let names: Vec<String> = layers
            .iter()
            .map(|layer| format!("cross_attentions.{layer}"))
            .collect();
        let mut outputs = run(self, tokens, false, &[], &names)?;
        let scores = Scores::of(&mut outputs)?;
        let attention = |name: &String| Attention::of(outputs.get(name).ok_or_else(|| lacks(name))?);
        Ok((scores, names.iter().map(attention).collect::<Result<_, _>>()?))
    }

    /// Takes the cache as the past of the next run.
    fn keep(&mut self, cache: Vec<(&str, DynValue)>) -> Result<(), WhisperError> {
        for (past, value) in cache {
            self.binding.bind_input(past, &value)?;
        }
        Ok(())
    }
}

/// One run of the decoder. Outputs that are not named are not made.
fn run<'d>(
    decoding: &'d mut Decoding<'_>,
    tokens: &[u32],
    cached: bool,
    cache: &[&Vec<Cached>],
    more: &[String],
) -> Result<SessionOutputs<'d>, WhisperError> {
    if decoding.cancel.is_cancelled() {
        return Err(polyphony_inference::Error::Cancelled.into());
    }
    let ids: Vec<i64> = tokens.iter().map(|&token| i64::from(token)).collect();
    let binding = &mut decoding.binding;
    binding.bind_input("input_ids", &Tensor::from_array(([1, ids.len()], ids))?)?;
    binding.bind_input("use_cache_branch", &Tensor::from_array(([1], vec![cached]))?)?;
    // Outputs are bound anew each time: a bound output would keep its shape, and the cache grows.
    binding.clear_outputs();
    binding.bind_output_to_device("logits", &decoding.host)?;
    for name in more {
        binding.bind_output_to_device(name.as_str(), &decoding.host)?;
    }
    for cached in cache.iter().flat_map(|cache| cache.iter()) {
        binding.bind_output_to_device(cached.present.as_str(), &decoding.memory)?;
    }
    Ok(decoding.session.run_binding(&decoding.binding)?)
}

fn take<'c>(
    outputs: &mut SessionOutputs<'_>,
    cache: impl Iterator<Item = &'c Cached>,
) -> Result<Vec<(&'c str, DynValue)>, WhisperError> {
    let one = |cached: &'c Cached| {
        let value = outputs
            .remove(&cached.present)
            .ok_or_else(|| lacks(&cached.present))?;
        Ok((cached.past.as_str(), value))
    };
    cache.map(one).collect()
}
