//! The graph: batches of tokens in, numbers out.
//!
//! It takes `input_ids`, mostly `attention_mask`, sometimes `token_type_ids`, and gives one vector for each token, or one
//! for each text, or the scores of labels; all are [texts, tokens] or begin with these axes.

use std::num::NonZeroUsize;

use half::f16;
use polyphony_inference::ort::session::{SessionInputValue, SessionOutputs};
use polyphony_inference::ort::value::{DynValue, Tensor, TensorElementType};
use polyphony_inference::{
    Cancel, Error as InferenceError, InferenceConfig, Placement, Port, Runtime, SessionPool, SessionSettings,
    TerminateOn, crew,
};

use crate::batches::Rule;
use crate::settings::ModelConfig;
use crate::tokenizer::Encoded;
use crate::{Error, Folder};

/// The sessions of one model. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pool: SessionPool,
    sessions: usize,
    rule: Rule,
    /// The inputs, in the graph's order.
    inputs: Vec<(String, Fill, TensorElementType)>,
    output: String,
    per_token: bool,
    /// The id of what stands behind a text's end. The mask hides it, but XLM-RoBERTa also counts positions by it.
    padding: u32,
    /// A run takes so long that somebody must watch whether it is still wanted.
    slow: bool,
    /// The runtime's version and the device, for receipts.
    pub(crate) version: String,
    pub(crate) device: String,
}

/// What an input is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fill {
    Ids,
    Mask,
    Types,
}

/// What the model says of one text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    /// `tokens` vectors of `width` numbers.
    Tokens {
        numbers: Vec<f32>,
        tokens: usize,
        width: usize,
    },
    /// The numbers of the text as a whole.
    Text(Vec<f32>),
}

/// Which of a graph's outputs is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Vectors.
    Vectors,
    /// The scores of labels.
    Scores,
}

/// Weights of more bytes are loaded once, for a session as wide as the machine, and not once for each core.
const HEAVY: u64 = 256 << 20;

// === impl Network ===

impl Network {
    pub(crate) fn open(
        folder: &Folder,
        wanted: Wanted,
        runtime: &Runtime,
        config: &InferenceConfig,
    ) -> Result<Self, Error> {
        let loaded = runtime.get()?;
        let Placement { device, fallback } = config.device.place(loaded)?;
        if let Some(reason) = fallback {
            tracing::info!(reason, "running on the processor");
        }
        let heavy = folder.weight_bytes() > HEAVY;
        let (sessions, threads) = match (config.width(device.is_gpu()), config.sessions) {
            ((sessions, threads), None) if heavy => (NonZeroUsize::MIN, sessions.saturating_mul(threads)),
            (width, _) => width,
        };
        let settings = SessionSettings {
            device,
            threads,
            fixed_shapes: false,
        };
        let pool = SessionPool::open(loaded, &folder.graph(), settings, sessions)?;
        let inputs = pool.inputs().iter().map(|port| input(&pool, port));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        if !inputs.iter().any(|(_, fill, _)| *fill == Fill::Ids) {
            return Err(InferenceError::unfit(pool.path(), "it has no input \"input_ids\"").into());
        }
        let (output, per_token) = output(&pool, wanted)?;
        Ok(Self {
            sessions: sessions.get(),
            rule: Rule::of(device.is_gpu()),
            inputs,
            output,
            per_token,
            padding: ModelConfig::read(folder)?.pad_token_id.unwrap_or(0),
            slow: heavy,
            version: format!("onnxruntime {}", loaded.version()),
            device: device.to_string(),
            pool,
        })
    }

    /// Whether it gives a vector for each token, and not one for each text.
    pub(crate) const fn is_per_token(&self) -> bool {
        self.per_token
    }

    /// How many threads have a session to themselves.
    pub(crate) const fn sessions(&self) -> usize {
        self.sessions
    }

    /// How many numbers it gives for each token or text, where the graph says so.
    pub(crate) fn width(&self) -> Option<usize> {
        let port = self.pool.outputs().iter().find(|port| port.name == self.output)?;
        port.shape.last().and_then(|width| usize::try_from(*width).ok())
    }

    /// The file of the graph.
    pub(crate) fn path(&self) -> &std::path::Path {
        self.pool.path()
    }

    /// What the model says of each text, made into `T` by `take` while the next texts run. In order.
    pub(crate) fn each<T: Send>(
        &self,
        texts: &[Encoded],
        cancel: &Cancel,
        take: impl Fn(usize, Said) -> Result<T, Error> + Sync,
    ) -> Result<Vec<T>, Error> {
        let lengths: Vec<usize> = texts.iter().map(|text| text.ids.len()).collect();
        let batches = self.rule.cut(&lengths, self.sessions);
        let done = crew::each(batches.len(), self.sessions, |batch| {
            let places = &batches[batch];
            let members: Vec<&Encoded> = places.iter().map(|&place| &texts[place]).collect();
            let said = self.run(&members, cancel)?;
            let taken = places
                .iter()
                .zip(said)
                .map(|(&place, said)| Ok((place, take(place, said)?)));
            taken.collect::<Result<Vec<_>, Error>>()
        })?;
        let mut done: Vec<(usize, T)> = done.into_iter().flatten().collect();
        done.sort_unstable_by_key(|(place, _)| *place);
        Ok(done.into_iter().map(|(_, taken)| taken).collect())
    }

    fn run(&self, texts: &[&Encoded], cancel: &Cancel) -> Result<Vec<Said>, Error> {
        let rows = texts.len();
        let columns = texts.iter().map(|text| text.ids.len()).max().unwrap_or(0);
        let mut values: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(self.inputs.len());
        for (name, fill, element) in &self.inputs {
            values.push((name, self.tensor(texts, columns, *fill, *element)?.into()));
        }
        let mut session = self.pool.lease_unless(|| cancel.is_cancelled())?;
        let read = |outputs: &SessionOutputs<'_>| self.read(outputs, rows);
        let (shape, numbers) = if self.slow {
            let stoppable = TerminateOn::new(|| cancel.is_cancelled());
            stoppable.run(|options| Ok(read(&session.run_with_options(values, options)?)))?
        } else if cancel.is_cancelled() {
            return Err(InferenceError::Cancelled.into());
        } else {
            read(&session.run(values).map_err(InferenceError::from)?)
        }?;
        drop(session);
        let per_text = numbers.len() / rows;
        let parts = numbers.chunks_exact(per_text.max(1)).zip(texts);
        Ok(parts
            .map(|(part, text)| match shape[..] {
                [_, _, width] => Said::Tokens {
                    numbers: part.to_vec(),
                    tokens: text.ids.len(),
                    width,
                },
                _ => Said::Text(part.to_vec()),
            })
            .collect())
    }

    /// [texts, columns].
    fn tensor(
        &self,
        texts: &[&Encoded],
        columns: usize,
        fill: Fill,
        element: TensorElementType,
    ) -> Result<DynValue, InferenceError> {
        let rest = if fill == Fill::Ids {
            i64::from(self.padding)
        } else {
            0
        };
        let mut numbers = vec![rest; texts.len() * columns];
        for (row, text) in numbers.chunks_exact_mut(columns.max(1)).zip(texts) {
            match fill {
                Fill::Ids => copy(row, &text.ids),
                Fill::Types => copy(row, &text.types),
                Fill::Mask => row[..text.ids.len()].fill(1),
            }
        }
        let shape = [texts.len(), columns];
        Ok(match element {
            TensorElementType::Int32 => {
                let narrow: Vec<i32> = numbers
                    .into_iter()
                    .map(|number| i32::try_from(number).unwrap_or(i32::MAX))
                    .collect();
                Tensor::from_array((shape, narrow))?.into_dyn()
            }
            _ => Tensor::from_array((shape, numbers))?.into_dyn(),
        })
    }

    fn read(&self, outputs: &SessionOutputs<'_>, rows: usize) -> Result<(Vec<usize>, Vec<f32>), Error> {
        let unfit = |problem: String| Error::from(InferenceError::unfit(self.pool.path(), problem));
        let value = outputs
            .get(&self.output)
            .ok_or_else(|| unfit(format!("it did not give \"{}\"", self.output)))?;
        let (shape, numbers) = match value.dtype().tensor_type() {
            Some(TensorElementType::Float16) => {
                let (shape, halves) = value.try_extract_tensor::<f16>().map_err(InferenceError::from)?;
                (shape, halves.iter().map(|half| half.to_f32()).collect())
            }
            _ => {
                let (shape, floats) = value.try_extract_tensor::<f32>().map_err(InferenceError::from)?;
                (shape, floats.to_vec())
            }
        };
        let shape: Vec<usize> = shape
            .iter()
            .map(|&side| usize::try_from(side).unwrap_or(0))
            .collect();
        let axes = if self.per_token { 3 } else { 2 };
        if shape.len() != axes || shape[0] != rows || shape.contains(&0) {
            return Err(unfit(format!(
                "\"{}\" has the shape {shape:?} for {rows} texts; expected {axes} axes, the first for the texts",
                self.output
            )));
        }
        Ok((shape, numbers))
    }
}

fn input(pool: &SessionPool, port: &Port) -> Result<(String, Fill, TensorElementType), InferenceError> {
    let fill = match port.name.as_str() {
        "input_ids" => Fill::Ids,
        "attention_mask" => Fill::Mask,
        "token_type_ids" => Fill::Types,
        other => {
            let problem = format!("nobody knows what to give to its input \"{other}\"");
            return Err(InferenceError::unfit(pool.path(), problem));
        }
    };
    match port.element {
        Some(element @ (TensorElementType::Int64 | TensorElementType::Int32)) => {
            Ok((port.name.clone(), fill, element))
        }
        _ => {
            let problem = format!("its input \"{}\" does not take whole numbers", port.name);
            Err(InferenceError::unfit(pool.path(), problem))
        }
    }
}

/// Which output is wanted, and whether it is one for each token.
fn output(pool: &SessionPool, wanted: Wanted) -> Result<(String, bool), InferenceError> {
    let known: &[(&str, bool)] = match wanted {
        // What the graph pooled itself comes with all that the model has behind the pooling.
        Wanted::Vectors => &[
            ("sentence_embedding", false),
            ("last_hidden_state", true),
            ("token_embeddings", true),
        ],
        Wanted::Scores => &[("logits", false)],
    };
    let found = known
        .iter()
        .find(|(name, _)| pool.outputs().iter().any(|port| port.name == *name));
    found
        .map(|(name, per_token)| ((*name).to_owned(), *per_token))
        .ok_or_else(|| {
            let have: Vec<&str> = pool.outputs().iter().map(|port| port.name.as_str()).collect();
            let want: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            let problem = format!("it gives {}; expected {}", have.join(", "), want.join(" or "));
            InferenceError::unfit(pool.path(), problem)
        })
}

fn copy(row: &mut [i64], numbers: &[u32]) {
    for (place, number) in row.iter_mut().zip(numbers) {
        *place = i64::from(*number);
    }
}
