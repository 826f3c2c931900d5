//! A part of a network: a graph with its sessions, fed by names from what earlier parts gave.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;

use polyphony_inference::ort::session::SessionInputValue;
use polyphony_inference::ort::value::{DynValue, Tensor, TensorElementType};
use polyphony_inference::{Error, Graph, Loaded, SessionPool, SessionSettings, TerminateOn};

use crate::domain::Cancel;

/// Values by name.
pub(super) type Values = HashMap<String, DynValue>;

/// A graph, open. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    pool: SessionPool,
    outputs: Vec<String>,
}

/// Numbers with a shape.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

// === impl Stage ===

impl Stage {
    /// Opens a graph that comes from a file, or is that file if no `bytes` are given.
    pub(super) fn open(
        runtime: &Loaded,
        path: &Path,
        bytes: Option<&[u8]>,
        settings: SessionSettings,
        sessions: NonZeroUsize,
    ) -> Result<Self, Error> {
        let graph = Graph {
            path,
            bytes,
            tensor_rt: None,
        };
        let pool = SessionPool::open_graph(runtime, graph, settings, sessions)?;
        let outputs = pool.outputs().iter().map(|port| port.name.clone()).collect();
        Ok(Self { pool, outputs })
    }

    pub(super) fn pool(&self) -> &SessionPool {
        &self.pool
    }

    /// Runs the graph on `values`, those of `first` before others of the same name; gives all that it makes. A run of
    /// half a second and more is stopped in the middle when it is cancelled, if it is `long`.
    pub(super) fn run(
        &self,
        values: &Values,
        first: &[(&str, &DynValue)],
        long: bool,
        cancel: &Cancel,
    ) -> Result<Values, Error> {
        let mut inputs: Vec<(&str, SessionInputValue<'_>)> = Vec::new();
        for port in self.pool.inputs() {
            let name = port.name.as_str();
            let own = first
                .iter()
                .find(|(given, _)| *given == name)
                .map(|(_, value)| *value);
            let lacking = || {
                Error::unfit(
                    self.pool.path(),
                    format!("it wants \"{name}\", which nothing gives"),
                )
            };
            let value = own.or_else(|| values.get(name)).ok_or_else(lacking)?;
            inputs.push((name, SessionInputValue::from(value)));
        }
        let mut session = self.pool.lease_unless(|| cancel.is_cancelled())?;
        let mut outputs = if long {
            let stoppable = TerminateOn::new(|| cancel.is_cancelled());
            // The outputs borrow the session, so they are taken out where they are made.
            stoppable.run(|options| {
                let mut outputs = session.run_with_options(inputs, options)?;
                Ok(take(&mut outputs, &self.outputs))
            })?
        } else {
            let mut outputs = session.run(inputs)?;
            take(&mut outputs, &self.outputs)
        };
        outputs.shrink_to_fit();
        Ok(outputs)
    }
}

fn take(outputs: &mut polyphony_inference::ort::session::SessionOutputs<'_>, names: &[String]) -> Values {
    let taken = names
        .iter()
        .filter_map(|name| Some((name.clone(), outputs.remove(name)?)));
    taken.collect()
}

// === impl Array ===

impl Array {
    pub(super) const fn new(shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self { shape, values }
    }

    /// What a graph gave; none if it is not of 32-bit floats.
    pub(super) fn of(value: &DynValue) -> Option<Self> {
        let (shape, values) = value.try_extract_tensor::<f32>().ok()?;
        let shape = shape
            .iter()
            .map(|&length| usize::try_from(length).unwrap_or_default());
        Some(Self {
            shape: shape.collect(),
            values: values.to_vec(),
        })
    }

    pub(super) fn value(self) -> Result<DynValue, Error> {
        Ok(Tensor::from_array((self.shape, self.values))?.into_dyn())
    }

    /// The length of the last axis.
    pub(super) fn length(&self) -> usize {
        self.shape.last().copied().unwrap_or_default()
    }

    /// The columns in `range` of the last axis.
    pub(super) fn columns(&self, range: std::ops::Range<usize>) -> Self {
        let length = self.length().max(1);
        let rows = self.values.chunks_exact(length);
        let values: Vec<f32> = rows.flat_map(|row| &row[range.clone()]).copied().collect();
        let mut shape = self.shape.clone();
        if let Some(last) = shape.last_mut() {
            *last = range.len();
        }
        Self { shape, values }
    }

    /// Puts another's columns in the place of its own that begin at `at`, row by row.
    pub(super) fn set_columns(&mut self, at: usize, part: &Self) {
        let (length, own) = (self.length().max(1), part.length().max(1));
        let rows = self.values.chunks_exact_mut(length);
        for (row, new) in rows.zip(part.values.chunks_exact(own)) {
            row[at..at + own].copy_from_slice(new);
        }
    }
}

/// The number of an element type in `TensorProto.DataType`.
pub(super) fn element(kind: TensorElementType) -> Option<u64> {
    Some(match kind {
        TensorElementType::Float32 => 1,
        TensorElementType::Uint8 => 2,
        TensorElementType::Int8 => 3,
        TensorElementType::Int32 => 6,
        TensorElementType::Int64 => 7,
        TensorElementType::Bool => 9,
        TensorElementType::Float16 => 10,
        TensorElementType::Float64 => 11,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_cut_from_every_row() {
        let array = Array::new(vec![1, 2, 3], vec![1., 2., 3., 4., 5., 6.]);
        let cut = array.columns(1..3);
        assert_eq!(cut, Array::new(vec![1, 2, 2], vec![2., 3., 5., 6.]));
        let mut into = Array::new(vec![1, 2, 3], vec![0.0; 6]);
        into.set_columns(1, &cut);
        assert_eq!(into.values, [0., 2., 3., 0., 5., 6.]);
    }
}
