//! Windows of frames: how far a network sees, and several windows at once with their results in order.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use polyphony_inference::Error;

use super::super::stage::{Array, Stage, Values};
use crate::domain::Cancel;

/// The frames of the first window, which somebody waits for: 0.28 s of a usual voice.
const FIRST: usize = 24;
/// The frames of the longest: what goes through the network at once should stay in the processor's caches.
const LONGEST: usize = 192;
/// Frames that are tried to find out how far a network sees; less than half of them.
const TRIED: usize = 96;

/// How many frames to either side a result depends on, and how many columns come out for a frame. The first and the last
/// frame are changed, and it is seen how far that is felt.
pub(super) fn reach(
    stage: &Stage,
    values: &Values,
    input: &str,
    output: &str,
    like: &Array,
) -> Result<(usize, usize), Error> {
    let unfit = |problem: &str| Error::unfit(stage.pool().path(), problem);
    let channels = like.shape.get(1).copied().unwrap_or(1);
    let mut chance = fastrand::Rng::with_seed(1);
    let plain: Vec<f32> = (0..channels * TRIED).map(|_| chance.f32() * 2.0 - 1.0).collect();
    let mut changed = plain.clone();
    for row in changed.chunks_exact_mut(TRIED) {
        row[0] += 1.0;
        row[TRIED - 1] -= 1.0;
    }
    let made = |numbers: Vec<f32>| {
        let array = Array::new(vec![1, channels, TRIED], numbers);
        let made = run(
            stage,
            values,
            (input, array),
            0..TRIED,
            like.length(),
            &Cancel::default(),
        )?;
        made.get(output)
            .and_then(Array::of)
            .ok_or_else(|| unfit("it gives no numbers"))
    };
    let (one, other) = (made(plain)?, made(changed)?);
    let columns = one.length();
    if columns == 0 || columns % TRIED != 0 || one.values.len() != other.values.len() {
        return Err(unfit("its frames change their number on the way"));
    }
    let unit = columns / TRIED;
    let mut felt = [false; TRIED];
    for (row, changed) in one
        .values
        .chunks_exact(columns)
        .zip(other.values.chunks_exact(columns))
    {
        for (at, (before, after)) in row.iter().zip(changed).enumerate() {
            felt[at / unit] |= before != after;
        }
    }
    let untouched = felt
        .iter()
        .position(|felt| !felt)
        .ok_or_else(|| unfit("it sees all at once"))?;
    let again = felt.iter().rposition(|felt| !felt).unwrap_or(untouched);
    if felt[untouched..=again].contains(&true) {
        return Err(unfit("it sees far and near apart"));
    }
    // One more, since what is felt least may have been rounded away.
    Ok((untouched.max(TRIED - 1 - again) + 1, unit))
}

/// Runs a network on the columns in `range` of its main input, with the same columns of what goes along with it: every
/// value of one row for each of `frames`.
pub(super) fn run(
    stage: &Stage,
    values: &Values,
    (name, main): (&str, Array),
    range: Range<usize>,
    frames: usize,
    cancel: &Cancel,
) -> Result<Values, Error> {
    let mut cut = vec![(name.to_owned(), main.value()?)];
    for port in stage.pool().inputs() {
        let along = values.get(&port.name).and_then(Array::of);
        if let Some(along) = along.filter(|along| along.length() == frames && along.values.len() == frames) {
            // A trial is longer than what it is made of.
            let part = if range.end <= frames {
                along.columns(range.clone())
            } else {
                repeated(&along, range.len())
            };
            cut.push((port.name.clone(), part.value()?));
        }
    }
    let first: Vec<_> = cut.iter().map(|(name, value)| (name.as_str(), value)).collect();
    stage.run(values, &first, false, cancel)
}

fn repeated(along: &Array, length: usize) -> Array {
    let first = along.values.first().copied().unwrap_or(1.0);
    let mut shape = along.shape.clone();
    if let Some(last) = shape.last_mut() {
        *last = length;
    }
    Array::new(shape, vec![first; length])
}

/// Makes the windows of `frames` frames, up to `width` at once, and hands over their samples in order.
pub(super) fn in_order(
    frames: usize,
    width: usize,
    cancel: &Cancel,
    make: &(dyn Fn(Range<usize>) -> Result<Vec<f32>, Error> + Sync),
    out: &mut dyn FnMut(Vec<f32>),
) -> Result<(), Error> {
    let windows = windows(frames);
    if windows.len() < 2 || width < 2 {
        for window in windows {
            out(make(window)?);
        }
        return Ok(());
    }
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (done, finished) = mpsc::channel();
        for _ in 0..width.min(windows.len()) {
            let (done, next, stopped, windows) = (done.clone(), &next, &stopped, &windows);
            scope.spawn(move || {
                while !stopped.load(Ordering::Relaxed) && !cancel.is_cancelled() {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(window) = windows.get(at) else { return };
                    if done.send((at, make(window.clone()))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let mut waiting: Vec<Option<Vec<f32>>> = vec![None; windows.len()];
        let mut given = 0;
        for (at, made) in finished {
            match made {
                Ok(samples) => waiting[at] = Some(samples),
                Err(error) => {
                    stopped.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
            while let Some(samples) = waiting.get_mut(given).and_then(Option::take) {
                given += 1;
                out(samples);
            }
        }
        if given < windows.len() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    })
}

/// Short first, then twice as long each time.
fn windows(frames: usize) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    let (mut start, mut length) = (0, FIRST);
    while start < frames {
        let end = (start + length).min(frames);
        windows.push(start..end);
        start = end;
        length = (length * 2).min(LONGEST);
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_grow_and_cover_all_frames() {
        assert_eq!(windows(500), [0..24, 24..72, 72..168, 168..360, 360..500]);
        assert_eq!(windows(5), vec![0..5]);
        assert!(windows(0).is_empty());
    }

    fn made(width: usize, fail: Option<usize>, cancel: &Cancel) -> (Vec<f32>, Result<(), Error>) {
        let make = |window: Range<usize>| {
            // The first takes longest.
            std::thread::sleep(std::time::Duration::from_millis(if window.start == 0 {
                20
            } else {
                1
            }));
            if fail.is_some_and(|at| window.contains(&at)) {
                return Err(Error::unfit("x", "broken"));
            }
            Ok(window.map(|frame| frame as f32).collect())
        };
        let mut all = Vec::new();
        let done = in_order(500, width, cancel, &make, &mut |samples| all.extend(samples));
        (all, done)
    }

    #[test]
    fn results_come_in_order_however_they_are_made() {
        for width in [1, 2, 4] {
            let (all, done) = made(width, None, &Cancel::default());
            assert!(done.is_ok());
            assert!(all.len() == 500 && all.is_sorted(), "{width}");
        }
    }

    #[test]
    fn a_failure_ends_it_and_a_cancel_too() {
        for width in [1, 2] {
            let (all, done) = made(width, Some(100), &Cancel::default());
            assert!(matches!(done, Err(Error::Unfit { .. })));
            assert!(all.len() <= 72);
        }
        let cancel = Cancel::default();
        cancel.cancel();
        assert!(matches!(made(2, None, &cancel).1, Err(Error::Cancelled)));
    }
}
