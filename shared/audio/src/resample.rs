//! Brings mono audio to another rate without aliases, in pieces of any size, sample for sample the same.
//!
//! The filter is rubato's synchronous FFT resampler: exact for the ratio of two integers, a squared Blackman-Harris
//! window (more than 100 dB down from the lower Nyquist frequency on), linear phase. Input is gathered into the
//! filter's own blocks, so the output does not depend on how it was cut; the filter's delay is taken off the front and
//! the tail is flushed, so that n frames become n·out/in frames, rounded.
//!
//! A block is at least 512 samples of the lower rate (32 ms at 16 kHz). For two rates with a small common divisor it grows
//! to what the ratio needs: 44 101 Hz to 16 kHz works in blocks of a second.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use crate::Error;
use crate::pcm::{Pcm, SampleRate};

/// The least length of a filter block in samples of the lower rate. Longer is steeper and later: with 512 the pass
/// band reaches 94 % of the way to the lower Nyquist frequency.
const BLOCK: usize = 512;

/// Resamples one mono stream.
#[derive(Debug)]
pub struct Resampler {
    from: SampleRate,
    to: SampleRate,
    /// `None` where the rates are the same.
    filter: Option<Filter>,
    taken: u64,
    given: u64,
}

#[derive(Debug)]
struct Filter {
    fft: Fft<f32>,
    /// Less than one block of input.
    pending: Vec<f32>,
    /// One block of output.
    block: Vec<f32>,
    /// Output samples still to drop at the front.
    delay: usize,
}

// === impl Resampler ===

impl Resampler {
    /// From one rate to another.
    ///
    /// # Errors
    /// [`Error::Setting`] when no filter can be made of the two rates, which no valid pair is known to cause.
    pub fn new(from: SampleRate, to: SampleRate) -> Result<Self, Error> {
        let filter = if from == to {
            None
        } else {
            Some(Filter::new(from, to)?)
        };
        Ok(Self {
            from,
            to,
            filter,
            taken: 0,
            given: 0,
        })
    }

    /// The rate that comes out.
    pub const fn rate(&self) -> SampleRate {
        self.to
    }

    /// Takes samples and appends to `out` what is ready.
    ///
    /// # Errors
    /// [`Error::Setting`] when the filter refuses a block, which would be a bug.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), Error> {
        self.taken += samples.len() as u64;
        let before = out.len();
        match &mut self.filter {
            None => out.extend_from_slice(samples),
            Some(filter) => filter.push(samples, out)?,
        }
        self.given += (out.len() - before) as u64;
        Ok(())
    }

    /// Appends the tail. The stream is then at its end; further samples begin a new one.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(&mut self, out: &mut Vec<f32>) -> Result<(), Error> {
        if let Some(filter) = &mut self.filter {
            let (from, to) = (u128::from(self.from.hz()), u128::from(self.to.hz()));
            // Rounded to nearest. Less than any Vec can hold, as the input was.
            let total = ((u128::from(self.taken) * to + from / 2) / from) as u64;
            let target = out.len() + total.saturating_sub(self.given) as usize;
            let silence = vec![0.0; filter.block_in()];
            while out.len() < target {
                filter.push(&silence, out)?;
            }
            out.truncate(target);
            filter.reset();
        }
        (self.taken, self.given) = (0, 0);
        Ok(())
    }
}

/// Resamples a whole recording, mixed down to mono.
///
/// # Errors
/// As [`Resampler::new`].
pub fn resample(pcm: Pcm, to: SampleRate) -> Result<Pcm, Error> {
    let from = pcm.spec().rate;
    let mono = pcm.into_mono();
    if from == to {
        return Ok(mono);
    }
    let mut resampler = Resampler::new(from, to)?;
    let expected = mono.samples().len() as u64 * u64::from(to.hz()) / u64::from(from.hz());
    let mut out = Vec::with_capacity(expected as usize + 2 * BLOCK);
    resampler.push(mono.samples(), &mut out)?;
    resampler.finish(&mut out)?;
    Ok(Pcm::mono(out, to))
}

// === impl Filter ===

impl Filter {
    fn new(from: SampleRate, to: SampleRate) -> Result<Self, Error> {
        let (from, to) = (from.hz() as usize, to.hz() as usize);
        // Blocks come in multiples of rate / gcd; ask for enough of them for `BLOCK` on the lower side, and for an
        // even number, because half a block is the delay.
        let unit = from / gcd(from, to);
        let block = (BLOCK * from).div_ceil(from.min(to)).next_multiple_of(2 * unit);
        let fft = Fft::new_custom(
            from,
            to,
            block,
            1,
            1,
            WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        )
        .map_err(|_| Error::setting("sample_rate", "has no filter to the wanted rate"))?;
        let mut filter = Self {
            pending: Vec::with_capacity(fft.input_frames_max()),
            block: vec![0.0; fft.output_frames_max()],
            delay: 0,
            fft,
        };
        filter.delay = filter.fft.output_delay();
        Ok(filter)
    }

    fn block_in(&self) -> usize {
        self.fft.input_frames_max()
    }

    fn push(&mut self, mut samples: &[f32], out: &mut Vec<f32>) -> Result<(), Error> {
        while !samples.is_empty() {
            let step = (self.block_in() - self.pending.len()).min(samples.len());
            let (head, tail) = samples.split_at(step);
            self.pending.extend_from_slice(head);
            samples = tail;
            if self.pending.len() == self.block_in() {
                self.run(out)?;
            }
        }
        Ok(())
    }

    fn run(&mut self, out: &mut Vec<f32>) -> Result<(), Error> {
        let bug = |_| Error::setting("sample_rate", "was refused by the resampling filter");
        let (frames_in, frames_out) = (self.pending.len(), self.block.len());
        let input = SequentialSlice::new(&self.pending, 1, frames_in).map_err(bug)?;
        let mut output = SequentialSlice::new_mut(&mut self.block, 1, frames_out).map_err(bug)?;
        let (_, made) = self
            .fft
            .process_into_buffer(&input, &mut output, None)
            .map_err(|_| Error::setting("sample_rate", "was refused by the resampling filter"))?;
        let skip = self.delay.min(made);
        self.delay -= skip;
        out.extend_from_slice(&self.block[skip..made]);
        self.pending.clear();
        Ok(())
    }

    fn reset(&mut self) {
        self.fft.reset();
        self.pending.clear();
        self.delay = self.fft.output_delay();
    }
}

const fn gcd(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests;
