//! Brings a mix to the rate and channels of a network, and the stems back to the mix's rate.
//!
//! Channels are as demucs takes them: one is heard on all sides, and of more than the network has the first are taken.

use polyphony_audio::Error as AudioError;
use polyphony_audio::pcm::{SampleRate, Spec};
use polyphony_audio::resample::Resampler;

use crate::domain::StemBlock;

/// The way in: interleaved samples of any cut to rows of channels.
#[derive(Debug)]
pub(super) struct Input {
    mix: Spec,
    /// One a channel of the network.
    resamplers: Vec<Resampler>,
    /// The beginning of a frame.
    partial: Vec<f32>,
    /// Whole frames that came.
    frames: u64,
}

/// The way out: rows of stems and their channels to interleaved samples.
#[derive(Debug)]
pub(super) struct Output {
    channels: usize,
    /// One a stem and channel.
    resamplers: Vec<Resampler>,
    /// Frames that were given out.
    given: u64,
}

// === impl Input ===

impl Input {
    pub(super) fn new(mix: Spec, rate: SampleRate, channels: usize) -> Result<Self, AudioError> {
        let resamplers = (0..channels)
            .map(|_| Resampler::new(mix.rate, rate))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            mix,
            resamplers,
            partial: Vec::new(),
            frames: 0,
        })
    }

    /// Whole frames that came, at the mix's rate.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    pub(super) fn push(&mut self, samples: &[f32]) -> Result<Vec<Vec<f32>>, AudioError> {
        self.partial.extend_from_slice(samples);
        let channels = self.mix.channels.count();
        let whole = self.partial.len() / channels;
        self.frames += whole as u64;
        let mut rows = Vec::with_capacity(self.resamplers.len());
        for (index, resampler) in self.resamplers.iter_mut().enumerate() {
            let channel = if channels == 1 { 0 } else { index.min(channels - 1) };
            let row: Vec<f32> = self
                .partial
                .chunks_exact(channels)
                .map(|frame| frame[channel])
                .collect();
            let mut out = Vec::new();
            resampler.push(&row, &mut out)?;
            rows.push(out);
        }
        self.partial.drain(..whole * channels);
        Ok(rows)
    }

    /// The rest. A frame that is not whole is dropped.
    pub(super) fn finish(&mut self) -> Result<Vec<Vec<f32>>, AudioError> {
        flush(&mut self.resamplers)
    }
}

// === impl Output ===

impl Output {
    pub(super) fn new(
        rate: SampleRate,
        mix: SampleRate,
        stems: usize,
        channels: usize,
    ) -> Result<Self, AudioError> {
        let resamplers = (0..stems * channels)
            .map(|_| Resampler::new(rate, mix))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            channels,
            resamplers,
            given: 0,
        })
    }

    pub(super) fn push(&mut self, rows: &[Vec<f32>]) -> Result<StemBlock, AudioError> {
        let mut outs = Vec::with_capacity(rows.len());
        for (resampler, row) in self.resamplers.iter_mut().zip(rows) {
            let mut out = Vec::new();
            resampler.push(row, &mut out)?;
            outs.push(out);
        }
        Ok(self.block(&outs))
    }

    /// The rest, so that the stems are as long as the mix: there and back may round to a frame more or less.
    pub(super) fn finish(&mut self, frames: u64) -> Result<StemBlock, AudioError> {
        let mut rows = flush(&mut self.resamplers)?;
        let left = usize::try_from(frames.saturating_sub(self.given)).unwrap_or(usize::MAX);
        for row in &mut rows {
            row.resize(left, 0.0);
        }
        Ok(self.block(&rows))
    }

    fn block(&mut self, rows: &[Vec<f32>]) -> StemBlock {
        let frames = rows.first().map_or(0, Vec::len);
        let interleaved = |channels: &[Vec<f32>]| -> Vec<f32> {
            (0..frames)
                .flat_map(|frame| channels.iter().map(move |row| row[frame]))
                .collect()
        };
        let block = StemBlock {
            start: self.given,
            stems: rows.chunks_exact(self.channels).map(interleaved).collect(),
        };
        self.given += frames as u64;
        block
    }
}

fn flush(resamplers: &mut [Resampler]) -> Result<Vec<Vec<f32>>, AudioError> {
    let tail = |resampler: &mut Resampler| {
        let mut out = Vec::new();
        resampler.finish(&mut out).map(|()| out)
    };
    resamplers.iter_mut().map(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hz(rate: u32) -> SampleRate {
        SampleRate::new(rate).expect("a rate")
    }

    #[test]
    fn one_channel_is_heard_on_both_sides_and_of_many_the_first_two() {
        let mut mono = Input::new(Spec::new(44_100, 1).expect("a spec"), hz(44_100), 2).expect("an input");
        assert_eq!(mono.push(&[0.1, 0.2]).expect("rows"), [[0.1, 0.2], [0.1, 0.2]]);
        let mut many = Input::new(Spec::new(44_100, 3).expect("a spec"), hz(44_100), 2).expect("an input");
        // Cut within a frame.
        assert_eq!(many.push(&[1.0, 2.0]).expect("rows"), [[0.0; 0], [0.0; 0]]);
        assert_eq!(
            many.push(&[3.0, 4.0, 5.0, 6.0, 7.0]).expect("rows"),
            [[1.0, 4.0], [2.0, 5.0]]
        );
        assert_eq!(many.frames(), 2);
    }

    #[test]
    fn stems_are_as_long_as_the_mix_whatever_its_rate() {
        for rate in [8_000, 22_050, 44_100, 48_000, 96_000] {
            for frames in [0, 1, 999, 20_001] {
                let mut input =
                    Input::new(Spec::new(rate, 2).expect("a spec"), hz(44_100), 2).expect("an input");
                let mut output = Output::new(hz(44_100), hz(rate), 1, 2).expect("an output");
                let mut rows = input.push(&vec![0.25; frames * 2]).expect("rows");
                for (row, tail) in rows.iter_mut().zip(input.finish().expect("rows")) {
                    row.extend(tail);
                }
                let first = output.push(&rows).expect("a block");
                let last = output.finish(input.frames()).expect("a block");
                assert_eq!(last.start as usize, first.samples() / 2);
                assert_eq!(
                    first.samples() + last.samples(),
                    frames * 2,
                    "{frames} frames at {rate} Hz"
                );
            }
        }
    }
}
