//! How far a network sees, and how it runs on some of its columns.

use std::ops::Range;

use polyphony_inference::Error;

use super::super::stage::{Array, Stage, Values};
use crate::domain::Cancel;

/// What was found out about a network from columns to columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    /// How many columns to either side a result depends on.
    pub(super) reach: usize,
    /// How many columns come out for one.
    pub(super) unit: usize,
    /// The rows of what comes out.
    pub(super) channels: usize,
}

/// Columns that are tried to find out how far a network sees; less than half of them.
const TRIED: usize = 96;

/// Finds out how far a network sees: the first and the last column are changed, and it is seen how far that is felt.
/// `frames` is the length of what goes along in `values`.
pub(super) fn probe(
    stage: &Stage,
    values: &Values,
    (input, channels): (&str, usize),
    output: &str,
    frames: usize,
) -> Result<Reach, Error> {
    let unfit = |problem: &str| Error::unfit(stage.pool().path(), problem);
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
            frames,
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
    Ok(Reach {
        // One more, since what is felt least may have been rounded away.
        reach: untouched.max(TRIED - 1 - again) + 1,
        unit,
        channels: one.values.len() / columns,
    })
}

/// Runs a network on the frames in `range`, whose columns `main` has, with the same frames of what goes along with it:
/// every value of one row for each of `frames`.
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
