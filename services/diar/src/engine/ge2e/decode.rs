//! Who speaks in each frame, when it is known which windows are one person.
//!
//! A window is longer than many a turn, so a frame is judged by all the windows that cover it, the more the nearer their
//! centre is; then a path through the frames is taken (Viterbi) that does not change the person for a trifle.

use super::analysis::{Analysis, Region};
use super::encoder::WINDOW;
use super::mel::HOP;
use crate::clustering::{Vectors, condense, dot};
use crate::engine::activity::FRAME as ACTIVITY_FRAME;
use crate::timeline::{Tracer, Track};

/// Samples of a frame: 10 ms.
const FRAME: u64 = HOP as u64;
/// How much better another person must fit, summed over frames, before the person changes.
const CHANGE: f32 = 0.5;
/// How fast a better fit makes sure: the odds of two people whose cosines differ by 0.1 are e to 1.
const SHARPNESS: f32 = 10.0;

/// The people's stretches and voices.
pub(super) struct Decoded {
    /// One for each person.
    pub tracks: Vec<Track>,
    /// The mean voices, of length 1.
    pub centres: Vectors,
}

/// Finds who speaks where. `labels` has the person of each window.
pub(super) fn decode(analysis: &Analysis, labels: &[usize]) -> Decoded {
    let people = labels.iter().max().map_or(0, |last| last + 1);
    let centres = condense::means(&analysis.voices, &analysis.weights, labels, people);
    let fits = fits(analysis, &centres);
    let mut tracers: Vec<Tracer> = (0..people).map(|_| Tracer::default()).collect();
    let mut speech = analysis.speech.iter().peekable();
    for region in &analysis.regions {
        let scores = scores(analysis, region, &fits, people);
        let path = path(&scores, people);
        while let Some(stretch) = speech.next_if(|stretch| stretch.end <= region.span.end) {
            let mut at = stretch.start;
            while at < stretch.end {
                let frame = ((at - region.span.start) / FRAME) as usize;
                let next = (region.span.start + (frame as u64 + 1) * FRAME).min(stretch.end);
                let frame = frame.min(path.len() - 1);
                let person = path[frame];
                let among = share(&scores[frame * people..][..people], person);
                let spoken = analysis.probabilities.get((at / ACTIVITY_FRAME as u64) as usize);
                let sure = among * spoken.copied().unwrap_or(0.0);
                tracers[person].add(at, next, sure);
                at = next;
            }
        }
    }
    Decoded {
        tracks: tracers.into_iter().map(Tracer::finish).collect(),
        centres,
    }
}

/// How well each window fits each person.
fn fits(analysis: &Analysis, centres: &Vectors) -> Vec<f32> {
    let rows = analysis.voices.rows();
    rows.flat_map(|voice| centres.rows().map(move |centre| dot(voice, centre)))
        .collect()
}

/// How well each frame of a region fits each person, frame by frame.
fn scores(analysis: &Analysis, region: &Region, fits: &[f32], people: usize) -> Vec<f32> {
    let frames = (region.span.end - region.span.start).div_ceil(FRAME).max(1) as usize;
    let reach = (WINDOW * HOP / 2) as f32;
    let mut scores = vec![0.0; frames * people];
    let mut first = region.windows.start;
    for (frame, row) in scores.chunks_exact_mut(people).enumerate() {
        let middle = region.span.start + frame as u64 * FRAME + FRAME / 2;
        while first + 1 < region.windows.end && analysis.centres[first] as f32 + reach <= middle as f32 {
            first += 1;
        }
        let mut total = 0.0;
        for window in first..region.windows.end {
            let away = analysis.centres[window].abs_diff(middle) as f32;
            if away >= reach && total > 0.0 {
                break;
            }
            // At an edge no window may be near; then the nearest speaks for it.
            let weight = (1.0 - away / reach).max(1e-3);
            total += weight;
            for (score, fit) in row.iter_mut().zip(&fits[window * people..]) {
                *score += weight * fit;
            }
        }
        for score in row {
            *score /= total.max(1e-3);
        }
    }
    scores
}

/// The best path through the frames, a person for each.
fn path(scores: &[f32], people: usize) -> Vec<usize> {
    let frames = scores.len() / people;
    let mut best = scores[..people].to_vec();
    let mut came_from: Vec<u8> = vec![0; frames * people];
    for frame in 1..frames {
        let (from, most) = leader(&best);
        let row = &scores[frame * people..][..people];
        for person in 0..people {
            let stays = best[person] >= most - CHANGE;
            came_from[frame * people + person] = if stays { person } else { from } as u8;
            best[person] = if stays { best[person] } else { most - CHANGE } + row[person];
        }
    }
    let mut person = leader(&best).0;
    let mut path = vec![0; frames];
    for frame in (0..frames).rev() {
        path[frame] = person;
        person = usize::from(came_from[frame * people + person]);
        if frame == 0 {
            break;
        }
    }
    path
}

fn leader(scores: &[f32]) -> (usize, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for (person, score) in scores.iter().enumerate() {
        if *score > best.1 {
            best = (person, *score);
        }
    }
    best
}

/// How sure it is that it is this person and not another, 0 to 1.
fn share(scores: &[f32], person: usize) -> f32 {
    let odds: f32 = scores
        .iter()
        .map(|score| (SHARPNESS * (score - scores[person])).exp())
        .sum();
    1.0 / odds
}
