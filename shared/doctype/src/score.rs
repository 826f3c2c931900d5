//! From cues to scores.
//!
//! Each cue that is found gives its label some evidence, in natural logarithms. A score is the share of a label's evidence
//! among that of all labels and of none of them: `exp(e) / (exp(NONE) + sum of exp(e of each label))`. So scores add up to
//! less than 1, what is missing is the chance that it is none of them, and twice the evidence is not twice the score.

use crate::Scored;
use crate::cues::{CUES, Cue, LABELS};
use crate::features::Features;
use crate::shapes::shapes;

/// The evidence that a document needs to be as likely something as nothing.
const NONE: f32 = 2.5;
/// A phrase in the first lines tells so many times more.
const HEAD: f32 = 1.6;
/// More evidence of words than this tells nothing more.
const MOST: f32 = 9.0;
/// Shorter documents say nothing, whatever their few words are.
const FEWEST: usize = 4;

/// All labels with their scores, the likeliest first.
pub(crate) fn scores(features: &Features) -> Vec<Scored> {
    let mut evidence: Vec<Scored> = LABELS.iter().map(|label| (*label, 0.0)).collect();
    let mut give = |label: &str, weight: f32| {
        if let Some((_, sum)) = evidence.iter_mut().find(|(name, _)| *name == label) {
            *sum += weight;
        }
    };
    if features.count >= FEWEST || features.mrz {
        for (label, cues) in CUES {
            let found: f32 = cues.iter().map(|cue| weigh(cue, features)).sum();
            give(label, found.min(MOST));
        }
        for (label, weight) in shapes(features) {
            give(label, weight);
        }
    }
    let all: f32 = evidence.iter().map(|(_, sum)| sum.exp()).sum::<f32>() + NONE.exp();
    for (_, sum) in &mut evidence {
        *sum = sum.exp() / all;
    }
    evidence.sort_by(|a, b| b.1.total_cmp(&a.1));
    evidence
}

fn weigh(cue: &Cue, features: &Features) -> f32 {
    match *cue {
        Cue::Phrase(phrase, weight) if features.has(phrase) => {
            if features.has_at_head(phrase) {
                weight * HEAD
            } else {
                weight
            }
        }
        Cue::Line(beginning, weight) if features.has_line(beginning) => weight,
        Cue::Phrase(..) | Cue::Line(..) => 0.0,
    }
}
