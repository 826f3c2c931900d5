//! Goes through a mix segment by segment, several times at once, and adds up what the segments give.
//!
//! demucs goes through the whole mix once for each network and shift, and averages. Here each of these is a lane, all lanes
//! go through the mix side by side, and what all of them have passed is given out: memory holds a segment or two a lane,
//! however long the mix is. A lane begins up to half a second before the mix, by its shift; its segments overlap, and each
//! is weighted by a triangle. A segment at the end is put in the middle of what the network takes, with the sound before
//! it, as demucs does.
//!
//! Positions count samples of the mix, at the network's rate.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use polyphony_inference::Cancel;

use super::level::{Level, Meter};
use super::{Network, Shape};
use crate::engine::Error;

/// How to go through a mix.
#[derive(Debug, Clone)]
pub(super) struct Task {
    /// For each network, the shifts of its lanes; empty for a network that is not needed.
    pub(super) shifts: Vec<Vec<usize>>,
    /// The longest shift there could be; 0 where nothing is shifted.
    pub(super) most_shift: usize,
    /// Samples of a segment, at most the network's.
    pub(super) segment: usize,
    /// Samples from one segment to the next.
    pub(super) stride: usize,
    /// For each stem that is given out, the stems of the network that it is the sum of.
    pub(super) sums: Vec<Vec<usize>>,
    /// The level of the whole mix. None: of what was heard so far.
    pub(super) level: Option<Level>,
    /// How many segments to wait for before they are taken apart, all at once. What comes out is the same.
    pub(super) wait: usize,
}

/// A mix on its way through.
#[derive(Debug)]
pub(super) struct Overlap<N> {
    network: N,
    task: Task,
    cancel: Cancel,
    /// The triangle.
    window: Vec<f32>,
    /// The mix from `begin` on, a row for each channel.
    mix: Vec<Vec<f32>>,
    begin: usize,
    /// Samples of the mix that were taken in, all of them once it has ended.
    taken: usize,
    ended: bool,
    meter: Meter,
    metered: usize,
    lanes: Vec<Lane>,
    /// What lanes have passed, from `given` on, a row for each stem and channel.
    out: Vec<Vec<f32>>,
    given: usize,
}

/// One way through the mix.
#[derive(Debug)]
struct Lane {
    network: usize,
    /// Where the next segment begins that is to be taken apart, and the next that is to be added.
    planned: i64,
    added: i64,
    /// The stems of the network that count, and how much.
    stems: Vec<(usize, f32)>,
    /// What segments have given from `added` on, a row for each of `stems` and channel, and the weight of it.
    sums: Vec<Vec<f32>>,
    weight: Vec<f32>,
}

/// A segment to take apart.
struct Job {
    lane: usize,
    /// Samples of the lane in it.
    length: usize,
    /// Where they begin in what the network is given.
    lead: usize,
    level: Level,
    input: Vec<f32>,
}

// === impl Task ===

impl Task {
    /// The networks' shares of each stem of theirs, where a lane of each is a part of the whole.
    fn shares(&self, shape: &Shape) -> Vec<Vec<f32>> {
        let lanes = |network: usize| self.shifts[network].len().max(1) as f32;
        let total = |stem: usize| shape.weights.iter().map(|row| row[stem]).sum::<f32>();
        let share = |(network, row): (usize, &Vec<f32>)| -> Vec<f32> {
            row.iter()
                .enumerate()
                .map(|(stem, weight)| weight / total(stem) / lanes(network))
                .collect()
        };
        shape.weights.iter().enumerate().map(share).collect()
    }
}

// === impl Overlap ===

impl<N: Network> Overlap<N> {
    pub(super) fn new(network: N, task: Task, cancel: &Cancel) -> Self {
        let shape = network.shape();
        let (channels, shares) = (shape.channels, task.shares(shape));
        let half = task.segment / 2;
        let rising = 1..=half;
        let falling = (1..=task.segment - half).rev();
        let top = (task.segment - half) as f32;
        let window = rising.chain(falling).map(|height| height as f32 / top).collect();
        let wanted = |stem: &usize| task.sums.iter().flatten().any(|other| other == stem);
        let mut lanes = Vec::new();
        for (network, shifts) in task.shifts.iter().enumerate() {
            let counting = (0..shape.stems.len())
                .filter(wanted)
                .map(|stem| (stem, shares[network][stem]));
            let stems: Vec<(usize, f32)> = counting.filter(|(_, share)| *share > 0.0).collect();
            for shift in shifts {
                let start = *shift as i64 - task.most_shift as i64;
                lanes.push(Lane {
                    network,
                    planned: start,
                    added: start,
                    sums: vec![vec![0.0; task.segment]; stems.len() * channels],
                    weight: vec![0.0; task.segment],
                    stems: stems.clone(),
                });
            }
        }
        Self {
            cancel: cancel.clone(),
            window,
            mix: vec![Vec::new(); channels],
            begin: 0,
            taken: 0,
            ended: false,
            meter: Meter::default(),
            metered: 0,
            lanes,
            out: vec![Vec::new(); task.sums.len() * channels],
            given: 0,
            network,
            task,
        }
    }

    /// Takes the next samples, a row for each channel, all of one length.
    pub(super) fn push(&mut self, rows: &[Vec<f32>]) {
        for (mix, row) in self.mix.iter_mut().zip(rows) {
            mix.extend_from_slice(row);
        }
        self.taken = self.begin + self.mix[0].len();
    }

    /// No more comes.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Takes the next segments apart. False: there is nothing to do before more comes.
    pub(super) fn step(&mut self) -> Result<bool, Error> {
        let mut jobs = Vec::new();
        let wait = if self.ended { 1 } else { self.task.wait };
        if self.available(wait) < wait {
            return Ok(false);
        }
        while jobs.len() < self.network.width() {
            let Some(lane) = self.next_lane() else {
                break;
            };
            jobs.push(self.job(lane));
        }
        let outputs = self.run(&mut jobs)?;
        for (job, output) in jobs.iter().zip(outputs) {
            self.add(job, &output?);
        }
        self.forget();
        Ok(true)
    }

    /// What all lanes have passed: a row for each stem and channel.
    pub(super) fn take(&mut self) -> Vec<Vec<f32>> {
        let end = self.taken as i64;
        let passed = self
            .lanes
            .iter()
            .map(|lane| lane.added.min(end))
            .min()
            .unwrap_or(end);
        let count = usize::try_from(passed).unwrap_or(0).saturating_sub(self.given);
        self.given += count;
        self.out
            .iter_mut()
            .map(|row| row.drain(..count.min(row.len())).collect())
            .collect()
    }

    /// How much of the mix is worked through, in samples: the mean of all lanes.
    pub(super) fn progress(&self) -> u64 {
        let done = |lane: &Lane| lane.added.clamp(0, self.taken as i64) as u64;
        self.lanes.iter().map(done).sum::<u64>() / self.lanes.len().max(1) as u64
    }

    /// The lane that is furthest behind, if its next segment can be taken apart.
    fn next_lane(&self) -> Option<usize> {
        let behind = (0..self.lanes.len()).min_by_key(|lane| self.lanes[*lane].planned)?;
        self.can_run(self.lanes[behind].planned).then_some(behind)
    }

    fn can_run(&self, at: i64) -> bool {
        if self.ended {
            at < self.taken as i64
        } else {
            at + self.task.segment as i64 <= self.taken as i64
        }
    }

    /// How many segments could be taken apart now, counted up to `most`.
    fn available(&self, most: usize) -> usize {
        let mut count = 0;
        for lane in &self.lanes {
            let mut at = lane.planned;
            while count < most && self.can_run(at) {
                count += 1;
                at += self.task.stride as i64;
            }
        }
        count
    }

    fn job(&mut self, index: usize) -> Job {
        let segment = self.task.segment;
        let at = self.lanes[index].planned;
        self.lanes[index].planned += self.task.stride as i64;
        // The lane begins before the mix, and ends with it.
        let length = usize::try_from(self.taken as i64 - at).unwrap_or(0).min(segment);
        let lead = (segment - length) / 2;
        let level = self.level(at + length as i64);
        let from = at - lead as i64;
        let longest = self.network.shape().segment;
        let mut input = vec![0.0; self.mix.len() * longest];
        let (first, last) = (from.max(0), (from + segment as i64).min(self.taken as i64));
        // The beginning of a lane may hear nothing but what is before the mix.
        if first < last {
            let heard = first as usize - self.begin..last as usize - self.begin;
            for (row, out) in self.mix.iter().zip(input.chunks_exact_mut(longest)) {
                for (out, sample) in out[(first - from) as usize..].iter_mut().zip(&row[heard.clone()]) {
                    *out = (sample - level.mean) / level.deviation;
                }
            }
        }
        Job {
            lane: index,
            length,
            lead,
            level,
            input,
        }
    }

    /// The level of the mix, or of what it is up to `end`.
    fn level(&mut self, end: i64) -> Level {
        if let Some(level) = self.task.level {
            return level;
        }
        while (self.metered as i64) < end {
            let index = self.metered - self.begin;
            self.meter.hear(self.mix.iter().map(|row| row[index]));
            self.metered += 1;
        }
        self.meter.level()
    }

    /// All at once, each on a thread of its own.
    fn run(&self, jobs: &mut [Job]) -> Result<Vec<Result<Vec<f32>, Error>>, Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let inputs: Vec<_> = jobs
            .iter_mut()
            .map(|job| Mutex::new((self.lanes[job.lane].network, std::mem::take(&mut job.input))))
            .collect();
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(input) = inputs.get(index) else {
                    return;
                };
                let (network, mix) =
                    std::mem::take(&mut *input.lock().unwrap_or_else(PoisonError::into_inner));
                let result = self.network.run(network, mix, &self.cancel);
                results
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((index, result));
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..inputs.len().min(self.network.width()) {
                scope.spawn(work);
            }
            work();
        });
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_by_key(|(index, _)| *index);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }

    /// Adds what a segment gave to its lane, and what is then final to what goes out.
    fn add(&mut self, job: &Job, output: &[f32]) {
        let (channels, longest) = (self.mix.len(), self.network.shape().segment);
        let lane = &mut self.lanes[job.lane];
        for (index, (stem, _)) in lane.stems.iter().enumerate() {
            for channel in 0..channels {
                let row = &output[(stem * channels + channel) * longest + job.lead..];
                let sums = &mut lane.sums[index * channels + channel];
                for ((sum, value), window) in sums.iter_mut().zip(row).zip(&self.window[..job.length]) {
                    *sum += window * (value * job.level.deviation + job.level.mean);
                }
            }
        }
        for (weight, window) in lane.weight.iter_mut().zip(&self.window[..job.length]) {
            *weight += window;
        }

        // Nothing before the next segment changes any more; after the last, nothing at all.
        let end = self.taken as i64;
        let next = lane.added + self.task.stride as i64;
        let is_last = self.ended && next >= end;
        let done = if is_last {
            (end - lane.added) as usize
        } else {
            self.task.stride
        };
        let before_mix = usize::try_from(-lane.added).unwrap_or(0).min(done);
        let place = usize::try_from(lane.added).unwrap_or(0) - self.given;
        for (index, (stem, share)) in lane.stems.iter().enumerate() {
            let outputs = self
                .task
                .sums
                .iter()
                .enumerate()
                .filter(|(_, sum)| sum.contains(stem));
            for (output, _) in outputs {
                for channel in 0..channels {
                    let row = &mut self.out[output * channels + channel];
                    if row.len() < place + done - before_mix {
                        row.resize(place + done - before_mix, 0.0);
                    }
                    let sums = &lane.sums[index * channels + channel][before_mix..done];
                    let weights = &lane.weight[before_mix..done];
                    for ((out, sum), weight) in row[place..].iter_mut().zip(sums).zip(weights) {
                        *out += share * sum / weight;
                    }
                }
            }
        }
        for row in lane.sums.iter_mut().chain([&mut lane.weight]) {
            row.copy_within(done.., 0);
            let left = row.len() - done;
            row[left..].fill(0.0);
        }
        lane.added = next;
    }

    /// Drops what no lane will hear again: the last segment reaches back by half of itself.
    fn forget(&mut self) {
        let heard =
            self.lanes.iter().map(|lane| lane.planned).min().unwrap_or(0) - self.task.segment as i64 / 2;
        let mut keep = usize::try_from(heard).unwrap_or(0).min(self.taken);
        if self.task.level.is_none() {
            keep = keep.min(self.metered);
        }
        if keep > self.begin {
            for row in &mut self.mix {
                row.drain(..keep - self.begin);
            }
            self.begin = keep;
        }
    }
}
