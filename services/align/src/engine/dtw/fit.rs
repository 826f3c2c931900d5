//! How well text and audio agree, from the costs on the path and beside it.
//!
//! A path through a text that is not that of the audio is dear, and hardly cheaper than one beside it; one through its
//! own text is cheap, and anything beside it is dear. Both are weighed; the weights were chosen on read speech with its
//! own and with other texts (tests/eval/align.py).

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
        // A few frames tell as much as all.
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
    let evidence = beside / on.max(1e-3) - 3.0 * on;
    (1.0 / (1.0 + (-6.0 * (evidence - 0.2)).exp())) as f32
}
