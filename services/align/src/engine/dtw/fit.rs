//! How well text and audio agree, from the costs on the path and beside it.
//!
//! A path through a text that is not that of the audio is dear, hardly cheaper than one beside it, and must stretch some
//! words and squeeze others; one through its own text is cheap, anything beside it is dear, and its words are about as
//! long as they were said by espeak-ng. These are weighed by a logistic regression, fitted on read speech with its own
//! texts and with others (38 and 114 pairs; eight parts, each tried on what the others gave: none of the right ones and
//! a tenth of the wrong ones on the wrong side of 0.3, of those with seven words or more a seventeenth).

use super::costs::Compared;
use super::voice::Kind;

/// How far beside the path is looked, in states.
const BESIDE: [isize; 6] = [-60, -40, -25, 25, 40, 60];
/// The cost at which a sound fits half, and how fast it falls.
const HALF: f64 = 0.65;
const FALL: f64 = 0.07;

/// How well a sound fits, 0 to 1.
pub(super) fn score(cost: f64, frames: usize) -> f32 {
    if frames == 0 {
        return 0.0;
    }
    (1.0 / (1.0 + ((cost / frames as f64 - HALF) / FALL).exp())) as f32
}

/// The weights of the regression: of the cost on the path, of what lies beside it as a multiple of that, of how unevenly
/// words are stretched, and of how far all are; and the constant, by which 0.3 parts right from wrong.
const ON: f64 = -21.1;
const CONTRAST: f64 = 3.35;
const UNEVEN: f64 = -5.66;
const STRETCH: f64 = -3.93;
const CONSTANT: f64 = 9.07;
/// How much slower than espeak-ng people read, as a logarithm.
const USUAL: f64 = 0.15;

/// How well text and audio agree, 0 to 1.
pub(super) fn quality(path: &[u32], compared: &Compared, costs: &[f32]) -> f32 {
    let spoken: Vec<u32> = (0..compared.states() as u32)
        .filter(|state| compared.kind(*state as usize) == Kind::Spoken)
        .collect();
    let (mut on, mut count) = (0.0_f64, 0.0_f64);
    let (mut beside, mut others) = (0.0_f64, 0.0_f64);
    for (frame, state) in path.iter().enumerate() {
        if compared.kind(*state as usize) != Kind::Spoken {
            continue;
        }
        on += f64::from(costs[frame]);
        count += 1.0;
        // Each frame looks to one side; together they look to all.
        let at = spoken.partition_point(|other| other < state);
        let shift = BESIDE[frame % BESIDE.len()];
        if let Some(other) = at.checked_add_signed(shift).and_then(|at| spoken.get(at)) {
            beside += f64::from(compared.cost(frame, *other as usize));
            others += 1.0;
        }
    }
    if count == 0.0 || others == 0.0 {
        return 0.0;
    }
    let (on, beside) = (on / count, beside / others);
    let (mean, deviation) = stretch(path, compared);
    let evidence = ON * on
        + CONTRAST * (beside / on.max(1e-3))
        + UNEVEN * deviation
        + STRETCH * (mean - USUAL).abs()
        + CONSTANT;
    (1.0 / (1.0 + (-evidence).exp())) as f32
}

/// The mean and the deviation of how much longer than espeak-ng's the words are, as logarithms. Words that an open path
/// does not end are left out.
fn stretch(path: &[u32], compared: &Compared) -> (f64, f64) {
    let last = path.last().map_or(0, |state| *state as usize);
    let mut frames = path.iter().peekable();
    let mut state = 0;
    let mut logs = Vec::new();
    while state <= last && state < compared.states() {
        let begin = state;
        while state < compared.states() && compared.kind(state) == Kind::Spoken {
            state += 1;
        }
        let mut heard = 0;
        while frames.next_if(|frame| (**frame as usize) < state).is_some() {
            heard += 1;
        }
        if state > begin && state <= last {
            logs.push((f64::from(heard.max(1)) / (state - begin) as f64).ln());
        }
        // What is no word.
        while state < compared.states() && compared.kind(state) != Kind::Spoken {
            state += 1;
        }
        while frames.next_if(|frame| (**frame as usize) < state).is_some() {}
    }
    let count = logs.len().max(1) as f64;
    let mean = logs.iter().sum::<f64>() / count;
    let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}
