//! A mix taken apart from end to end: to the network's rate, through it, and back.

use polyphony_audio::Error as AudioError;
use polyphony_audio::pcm::{Pcm, SampleRate, Spec};
use polyphony_inference::Cancel;

use super::level::{Level, Meter};
use super::overlap::{Overlap, Task};
use super::rates::{Input, Output};
use super::{Network, Shape, shifts};
use crate::domain::{SeparationPlan, StemBlock};
use crate::engine::{Error, Separator, StemSink};

/// A mix that is fed as it comes.
#[derive(Debug)]
pub struct StreamSeparator<N> {
    rate: SampleRate,
    input: Input,
    overlap: Overlap<N>,
    output: Output,
}

/// Takes a whole recording apart: what demucs gives, block by block.
///
/// # Errors
/// As [`Network::run`], and what `sink` says.
pub fn separate<N: Network>(
    network: N,
    mix: &Pcm,
    plan: &SeparationPlan,
    cancel: &Cancel,
    sink: &mut dyn StemSink,
) -> Result<(), Error> {
    let spec = mix.spec();
    // A second at once, so that the recording is not copied whole.
    let pieces = || {
        mix.samples()
            .chunks(spec.rate.hz() as usize * spec.channels.count())
    };
    let (rate, channels) = (network.shape().rate, network.shape().channels);
    let mut input = Input::new(spec, rate, channels).map_err(resampling)?;
    let mut meter = Meter::default();
    let mut hear = |rows: &[Vec<f32>]| {
        for frame in 0..rows[0].len() {
            meter.hear(rows.iter().map(|row| row[frame]));
        }
    };
    for piece in pieces() {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        hear(&input.push(piece).map_err(resampling)?);
    }
    hear(&input.finish().map_err(resampling)?);

    let wait = network.width();
    let mut separator = StreamSeparator::with(network, spec, plan, Some(meter.level()), wait, cancel)?;
    for piece in pieces() {
        separator.accept(piece, sink)?;
    }
    Box::new(separator).finish(sink)
}

// === impl StreamSeparator ===

impl<N: Network> StreamSeparator<N> {
    /// Begins a mix.
    ///
    /// # Errors
    /// [`Error::Engine`] when there is no way from the mix's rate to the network's.
    pub fn new(network: N, mix: Spec, plan: &SeparationPlan, cancel: &Cancel) -> Result<Self, Error> {
        Self::with(network, mix, plan, None, 1, cancel)
    }

    fn with(
        network: N,
        mix: Spec,
        plan: &SeparationPlan,
        level: Option<Level>,
        wait: usize,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let shape = network.shape();
        let (rate, channels) = (shape.rate, shape.channels);
        let task = task(shape, plan, level, wait);
        Ok(Self {
            rate,
            input: Input::new(mix, rate, channels).map_err(resampling)?,
            output: Output::new(rate, mix.rate, task.sums.len(), channels).map_err(resampling)?,
            overlap: Overlap::new(network, task, cancel),
        })
    }

    fn drain(&mut self, sink: &mut dyn StemSink) -> Result<(), Error> {
        while self.overlap.step()? {
            sink.progress(self.rate.duration(self.overlap.progress()))?;
            let rows = self.overlap.take();
            let block = self.output.push(&rows).map_err(resampling)?;
            give(block, sink)?;
        }
        Ok(())
    }
}

impl<N: Network> Separator for StreamSeparator<N> {
    fn accept(&mut self, samples: &[f32], sink: &mut dyn StemSink) -> Result<(), Error> {
        let rows = self.input.push(samples).map_err(resampling)?;
        self.overlap.push(&rows);
        self.drain(sink)
    }

    fn finish(mut self: Box<Self>, sink: &mut dyn StemSink) -> Result<(), Error> {
        let rows = self.input.finish().map_err(resampling)?;
        self.overlap.push(&rows);
        self.overlap.end();
        self.drain(sink)?;
        let block = self.output.finish(self.input.frames()).map_err(resampling)?;
        give(block, sink)
    }
}

fn give(block: StemBlock, sink: &mut dyn StemSink) -> Result<(), Error> {
    if block.samples() == 0 {
        Ok(())
    } else {
        sink.block(block)
    }
}

/// How a plan is carried out.
fn task(shape: &Shape, plan: &SeparationPlan, level: Option<Level>, wait: usize) -> Task {
    let options = &plan.options;
    let index = |name: &String| shape.stems.iter().position(|stem| stem == name);
    let mut sums: Vec<Vec<usize>> = options
        .stems
        .iter()
        .filter_map(index)
        .map(|stem| vec![stem])
        .collect();
    if options.include_rest {
        // As demucs adds it up, so it is not the mix without the stem, from which it differs by what the network lost.
        let chosen = sums[0][0];
        sums.push((0..shape.stems.len()).filter(|stem| *stem != chosen).collect());
    }
    let longest = shape.segment;
    let segment = options
        .segment
        .map_or(longest, |segment| shape.rate.frames(segment) as usize);
    let segment = segment.clamp(1, longest);
    // 0.1 as it was written, not as 32 bits hold it: a stride is rounded down.
    let overlap: f64 = options
        .overlap
        .to_string()
        .parse()
        .unwrap_or_else(|_| f64::from(options.overlap));
    let stride = ((1.0 - overlap) * segment as f64) as usize;
    let (lanes, most_shift) = match options.shifts as usize {
        0 => (1, 0),
        shifts => (shifts, shape.rate.hz() as usize / 2),
    };
    let drawn = shifts::draw(
        options.seed.unwrap_or_default(),
        lanes * shape.weights.len(),
        most_shift,
    );
    let is_needed = |row: &Vec<f32>| sums.iter().flatten().any(|stem| row[*stem] > 0.0);
    // Drawn for all networks, so that a stem is the same whichever others are asked for.
    let of_network = |(row, shifts): (&Vec<f32>, &[usize])| {
        if is_needed(row) {
            shifts.to_vec()
        } else {
            Vec::new()
        }
    };
    Task {
        shifts: shape
            .weights
            .iter()
            .zip(drawn.chunks_exact(lanes))
            .map(of_network)
            .collect(),
        most_shift,
        segment,
        stride: stride.max(1),
        sums,
        level,
        wait,
    }
}

fn resampling(error: AudioError) -> Error {
    Error::engine("resampler", error)
}
