//! Two lists of passages made into one: by scaled scores, by ranks, or by mean and deviation.
//!
//! Pure functions. A passage that one list does not have counts there as the worst of it. How much each list counts for a
//! query that does not say it is in `balance`.

mod balance;

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::domain::{Fusion, ScoreComponent, ScoreSource};

/// A passage by its number, and how well it fits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scored {
    pub(crate) key: i64,
    pub(crate) score: f32,
}

/// A passage after the lists were joined.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fused {
    pub(crate) key: i64,
    pub(crate) score: f32,
    /// What the score is made of: the vector search first.
    pub(crate) components: Vec<ScoreComponent>,
}

/// How lists are joined, every default filled in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rule {
    pub(crate) fusion: Fusion,
    /// The share of the vector search, 0 to 1. None: by what the lists look like ([`balance`]).
    pub(crate) dense_weight: Option<f32>,
    /// The constant of RRF.
    pub(crate) rrf_k: u32,
}

/// The shares of a query that the two searches could read, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Read {
    /// Of its tokens, those that the embedding model's vocabulary has.
    pub(crate) dense: f32,
    /// Of its words, weighed by how rare they are, those that the space has.
    pub(crate) lexical: f32,
}

// === impl Rule ===

impl Rule {
    /// The rule with the weight that it has for these lists.
    pub(crate) fn settled(self, dense: &[Scored], lexical: &[Scored], read: Read) -> Self {
        let weight = self.dense_weight.unwrap_or_else(|| {
            let full = dense.len().max(lexical.len());
            let flat = |list: &[Scored]| {
                let scale = Scale::of(list, full, Fusion::RelativeScore, self.rrf_k);
                let sum: f32 = list.iter().map(|scored| scale.apply(scored.score, 0)).sum();
                (!list.is_empty()).then(|| sum / full as f32)
            };
            balance::dense_weight(flat(dense), flat(lexical), read)
        });
        Self {
            dense_weight: Some(weight),
            ..self
        }
    }
}

// === impl Scored ===

impl Scored {
    /// The best first; of equals the earlier number, so that the order is always the same.
    pub(crate) fn sort(scored: &mut [Self]) {
        scored.sort_by(|a, b| order((a.score, a.key), (b.score, b.key)));
    }
}

fn order((a_score, a_key): (f32, i64), (b_score, b_key): (f32, i64)) -> Ordering {
    b_score.total_cmp(&a_score).then(a_key.cmp(&b_key))
}

/// The lists joined, the best first. Each list is sorted. A rule that is not settled weighs both alike.
pub(crate) fn fuse(dense: &[Scored], lexical: &[Scored], rule: Rule) -> Vec<Fused> {
    let (of_dense, of_lexical) = match rule.fusion {
        Fusion::RelativeScore => {
            let weight = rule.dense_weight.unwrap_or(0.5);
            (weight, 1.0 - weight)
        }
        Fusion::DenseOnly => (1.0, 0.0),
        Fusion::LexicalOnly => (0.0, 1.0),
        Fusion::Rrf | Fusion::Dbsf => (0.5, 0.5),
    };
    let full = dense.len().max(lexical.len());
    let mut fused: HashMap<i64, Fused> = HashMap::new();
    for (source, list, weight) in [
        (ScoreSource::Dense, dense, of_dense),
        (ScoreSource::Lexical, lexical, of_lexical),
    ] {
        let scale = Scale::of(list, full, rule.fusion, rule.rrf_k);
        for (at, scored) in list.iter().enumerate() {
            let rank = u32::try_from(at + 1).unwrap_or(u32::MAX);
            let normalized = scale.apply(scored.score, rank);
            let component = ScoreComponent {
                source,
                raw: scored.score,
                normalized,
                rank,
                weight,
                contribution: weight * normalized,
            };
            let entry = fused.entry(scored.key).or_insert_with(|| Fused {
                key: scored.key,
                score: 0.0,
                components: Vec::with_capacity(2),
            });
            entry.score += component.contribution;
            entry.components.push(component);
        }
    }
    let mut fused: Vec<Fused> = fused.into_values().collect();
    fused.sort_by(|a, b| order((a.score, a.key), (b.score, b.key)));
    fused
}

/// How the scores of one list become 0 to 1.
#[derive(Debug, Clone, Copy)]
enum Scale {
    /// By the smallest and the largest.
    Between { least: f32, span: f32 },
    /// 1/(k + rank), as a share of what the first place gets.
    Rank { k: f32 },
}

impl Scale {
    /// `full` is the length of the longer list. A shorter one has all that fits at all: what it does not have scored 0,
    /// and that is then the smallest score.
    fn of(list: &[Scored], full: usize, fusion: Fusion, rrf_k: u32) -> Self {
        let (least, most) = match fusion {
            Fusion::Rrf => {
                return Self::Rank { k: rrf_k as f32 };
            }
            Fusion::RelativeScore | Fusion::DenseOnly | Fusion::LexicalOnly => {
                let scores = || list.iter().map(|scored| scored.score);
                let least = if list.len() < full { 0.0 } else { f32::INFINITY };
                (
                    scores().fold(least, f32::min),
                    scores().fold(f32::NEG_INFINITY, f32::max),
                )
            }
            // Three deviations on either side of the mean, as Qdrant has it.
            Fusion::Dbsf => {
                let count = list.len().max(1) as f32;
                let mean = list.iter().map(|scored| scored.score).sum::<f32>() / count;
                let squares = list
                    .iter()
                    .map(|scored| (scored.score - mean).powi(2))
                    .sum::<f32>();
                let deviation = (squares / (count - 1.0).max(1.0)).sqrt();
                (mean - 3.0 * deviation, mean + 3.0 * deviation)
            }
        };
        Self::Between {
            least,
            span: most - least,
        }
    }

    fn apply(self, score: f32, rank: u32) -> f32 {
        match self {
            // All equal: each is as good as the best.
            Self::Between { span, .. } if span <= f32::EPSILON => 1.0,
            Self::Between { least, span } => ((score - least) / span).clamp(0.0, 1.0),
            Self::Rank { k } => (k + 1.0) / (k + rank as f32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(scores: &[(i64, f32)]) -> Vec<Scored> {
        scores.iter().map(|&(key, score)| Scored { key, score }).collect()
    }

    fn keys(fused: &[Fused]) -> Vec<i64> {
        fused.iter().map(|fused| fused.key).collect()
    }

    const RULE: Rule = Rule {
        fusion: Fusion::RelativeScore,
        dense_weight: Some(0.5),
        rrf_k: 60,
    };

    #[test]
    fn scaled_scores_are_weighted_and_each_part_is_told() {
        let dense = list(&[(1, 0.9), (2, 0.7), (3, 0.5)]);
        let lexical = list(&[(3, 12.0), (4, 2.0)]);
        let fused = fuse(&dense, &lexical, RULE);
        // 3 is first by words and last by meaning, 1 first by meaning and unknown by words.
        assert_eq!(keys(&fused), [1, 3, 2, 4]);
        assert_eq!(fused[1].score, 0.5);
        let parts: Vec<_> = fused[1]
            .components
            .iter()
            .map(|part| (part.source, part.rank, part.normalized))
            .collect();
        assert_eq!(
            parts,
            [(ScoreSource::Dense, 3, 0.0), (ScoreSource::Lexical, 1, 1.0)]
        );
        for one in &fused {
            let sum: f32 = one.components.iter().map(|part| part.contribution).sum();
            assert!((sum - one.score).abs() < 1e-6);
            assert!((0.0..=1.0).contains(&one.score));
        }
        let meaning = Rule {
            dense_weight: Some(1.0),
            ..RULE
        };
        assert_eq!(keys(&fuse(&dense, &lexical, meaning))[..2], [1, 2]);
    }

    #[test]
    fn a_short_list_has_all_that_fits_so_its_last_is_better_than_nothing() {
        let fused = fuse(
            &list(&[(1, 0.9), (2, 0.7), (3, 0.5)]),
            &list(&[(3, 12.0), (4, 3.0)]),
            RULE,
        );
        let last = fused.iter().find(|fused| fused.key == 4).expect("in a list");
        assert_eq!(last.components[0].normalized, 0.25);
    }

    #[test]
    fn a_query_without_a_weight_trusts_the_list_whose_best_stands_out() {
        let flat = list(&[(1, 0.50), (2, 0.49), (3, 0.48), (4, 0.40)]);
        let steep = list(&[(4, 9.0), (3, 1.0), (2, 0.9), (1, 0.8)]);
        let rule = Rule {
            dense_weight: None,
            ..RULE
        };
        let all = Read {
            dense: 1.0,
            lexical: 1.0,
        };
        let weight = |dense: &[Scored], lexical: &[Scored], read| {
            rule.settled(dense, lexical, read).dense_weight.expect("a weight")
        };
        let (one, other) = (weight(&flat, &steep, all), weight(&steep, &flat, all));
        assert!(one < 0.4 && (one + other - 1.0).abs() < 1e-6, "{one} {other}");
        // Words that the space does not have take trust away from the list of words.
        let half = Read { lexical: 0.5, ..all };
        assert!(weight(&flat, &steep, half) > one);
        assert_eq!(keys(&fuse(&flat, &steep, rule.settled(&flat, &steep, all)))[0], 4);
        // What was asked for stands.
        assert_eq!(RULE.settled(&flat, &steep, all), RULE);
    }

    #[test]
    fn ranks_count_by_reciprocals() {
        let rule = Rule {
            fusion: Fusion::Rrf,
            ..RULE
        };
        let fused = fuse(&list(&[(1, 0.9), (2, 0.8)]), &list(&[(2, 5.0), (3, 4.0)]), rule);
        // 1/61 + 1/62 against 1/61 and 1/62, in units of 2/61.
        assert_eq!(keys(&fused), [2, 1, 3]);
        assert!((fused[0].score - 0.5 * (1.0 + 61.0 / 62.0)).abs() < 1e-6);
    }

    #[test]
    fn deviations_scale_whatever_the_scores_are() {
        let rule = Rule {
            fusion: Fusion::Dbsf,
            ..RULE
        };
        let one = fuse(&list(&[(1, 3.0), (2, 2.0), (3, 1.0)]), &[], rule);
        let other = fuse(&list(&[(1, 300.0), (2, 200.0), (3, 100.0)]), &[], rule);
        assert_eq!(keys(&one), [1, 2, 3]);
        for (one, other) in one.iter().zip(&other) {
            assert!((one.score - other.score).abs() < 1e-5);
        }
        assert!((one[1].components[0].normalized - 0.5).abs() < 1e-6);
    }

    #[test]
    fn equals_are_in_order_of_their_numbers_and_empty_lists_are_no_harm() {
        assert_eq!(keys(&fuse(&list(&[(7, 1.0), (5, 1.0)]), &[], RULE)), [5, 7]);
        assert!(fuse(&[], &[], RULE).is_empty());
    }
}
