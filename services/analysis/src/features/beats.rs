//! Beats: the frames that best lie on onsets and a beat apart at once, by dynamic programming (Ellis 2007), as librosa's
//! `beat.beat_track`.

use polyphony_inference::Cancel;

use crate::engine::Error;

/// How much a beat that comes too early or too late costs.
const TIGHTNESS: f64 = 100.0;
/// How much narrower than a beat the bell is that onsets are smoothed with.
const NARROW: f64 = 32.0;
/// Before the first onset that reaches this share of the strongest there is no beat.
const FIRST: f64 = 0.01;
/// A Hann window of five, without its zeros at both ends.
const SMOOTH: [f64; 3] = [0.5, 1.0, 0.5];
/// How often the work looks whether it is still wanted, in frames.
const LOOK: usize = 1_024;

/// The frames of the beats. `onsets` are those of all frames, of which `frame_rate` are in a second.
///
/// # Errors
/// [`Error::Cancelled`].
pub fn track(onsets: &[f64], frame_rate: f64, bpm: f64, cancel: &Cancel) -> Result<Vec<u64>, Error> {
    let period = (frame_rate * 60.0 / bpm).round_ties_even().max(1.0) as usize;
    let Some(scores) = local_scores(onsets, period) else {
        return Ok(Vec::new());
    };
    let (links, totals) = link(&scores, period, cancel)?;
    let mut beats = Vec::new();
    let mut at = Some(last_beat(&totals));
    while let Some(beat) = at {
        beats.push(beat);
        at = links[beat];
    }
    beats.reverse();
    Ok(trim(&scores, &beats))
}

/// Onsets over their deviation, smoothed by a bell. None where they do not vary.
fn local_scores(onsets: &[f64], period: usize) -> Option<Vec<f64>> {
    let count = onsets.len();
    if count < 2 {
        return None;
    }
    let mean = onsets.iter().sum::<f64>() / count as f64;
    let squares: f64 = onsets.iter().map(|onset| (onset - mean).powi(2)).sum();
    let deviation = (squares / (count - 1) as f64).sqrt();
    if deviation <= f64::from(f32::MIN_POSITIVE) {
        return None;
    }
    let width = period as f64;
    let bell: Vec<f64> = (0..=2 * period)
        .map(|n| (-0.5 * ((n as f64 - width) * NARROW / width).powi(2)).exp())
        .collect();
    let scores = (0..count)
        .map(|frame| {
            // librosa never adds the very first onset, which is 0 for whoever makes onsets as it does.
            let first = (frame + period + 1).saturating_sub(count);
            let end = (frame + period).min(bell.len());
            (first..end)
                .map(|n| bell[n] * onsets[frame + period - n] / deviation)
                .sum()
        })
        .collect();
    Some(scores)
}

/// The best beat before each frame, and the best score of a line of beats that ends at it.
fn link(scores: &[f64], period: usize, cancel: &Cancel) -> Result<(Vec<Option<usize>>, Vec<f64>), Error> {
    let nearest = (period as f64 / 2.0).round_ties_even() as usize;
    let farthest = 2 * period;
    let costs: Vec<f64> = (0..=farthest)
        .map(|away| TIGHTNESS * ((away as f64).ln() - (period as f64).ln()).powi(2))
        .collect();
    let threshold = FIRST * scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut links = Vec::with_capacity(scores.len());
    let mut totals: Vec<f64> = Vec::with_capacity(scores.len());
    let mut begun = false;
    for (frame, score) in scores.iter().enumerate() {
        if frame % LOOK == 0 && cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let mut best: Option<(usize, f64)> = None;
        for away in nearest.max(1)..=farthest.min(frame) {
            let total = totals[frame - away] - costs[away];
            if best.is_none_or(|(_, most)| total > most) {
                best = Some((frame - away, total));
            }
        }
        totals.push(score + best.map_or(0.0, |(_, total)| total));
        begun |= *score >= threshold;
        links.push(best.filter(|_| begun).map(|(beat, _)| beat));
    }
    Ok((links, totals))
}

/// The last local maximum that reaches half of the median of all.
fn last_beat(totals: &[f64]) -> usize {
    let last = totals.len() - 1;
    let is_peak = |frame: &usize| {
        let frame = *frame;
        frame > 0
            && totals[frame] > totals[frame - 1]
            && (frame == last || totals[frame] >= totals[frame + 1])
    };
    let mut peaks: Vec<f64> = (0..=last).filter(is_peak).map(|frame| totals[frame]).collect();
    if peaks.is_empty() {
        return last;
    }
    peaks.sort_by(f64::total_cmp);
    let middle = peaks.len() / 2;
    let median = if peaks.len().is_multiple_of(2) {
        (peaks[middle - 1] + peaks[middle]) / 2.0
    } else {
        peaks[middle]
    };
    (0..=last)
        .rev()
        .filter(is_peak)
        .find(|frame| totals[*frame] >= 0.5 * median)
        .unwrap_or(last)
}

/// The beats without those before the first and after the last frame whose score is above half the root mean square of
/// the scores at beats, smoothed.
fn trim(scores: &[f64], beats: &[usize]) -> Vec<u64> {
    let at = |beat: isize| {
        usize::try_from(beat)
            .ok()
            .and_then(|beat| beats.get(beat))
            .map_or(0.0, |frame| scores[*frame])
    };
    // librosa smooths over two places beyond the end, and takes them into the mean.
    let places = beats.len() + 2;
    let squares: f64 = (0..places as isize)
        .map(|n| {
            let smooth: f64 = SMOOTH
                .iter()
                .zip([n - 1, n, n + 1])
                .map(|(weight, beat)| weight * at(beat))
                .sum();
            smooth * smooth
        })
        .sum();
    let threshold = 0.5 * (squares / places as f64).sqrt();
    let loud = |score: &f64| *score > threshold;
    let (Some(first), Some(last)) = (scores.iter().position(loud), scores.iter().rposition(loud)) else {
        return Vec::new();
    };
    beats
        .iter()
        .filter(|beat| (first..=last).contains(*beat))
        .map(|beat| *beat as u64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_beat_is_filled_in_and_silence_around_is_trimmed() {
        let mut onsets = vec![0.0; 400];
        for frame in (100..300).step_by(20) {
            onsets[frame] = 1.0;
        }
        onsets[200] = 0.0;
        let rate = 22_050.0 / 512.0;
        let beats = track(&onsets, rate, rate * 60.0 / 20.0, &Cancel::default()).expect("beats");
        let expected: Vec<u64> = (100..300).step_by(20).collect();
        assert_eq!(beats, expected);
    }

    #[test]
    fn who_no_longer_waits_stops_the_work() {
        let cancel = Cancel::default();
        cancel.cancel();
        let onsets: Vec<f64> = (0..50).map(|n| f64::from(n % 7)).collect();
        assert!(matches!(
            track(&onsets, 43.0, 120.0, &cancel),
            Err(Error::Cancelled)
        ));
    }
}
