//! From the vectors of tokens to one: the mean, the first or the last; and the length that it is scaled to.

use crate::{Error, Pooling};

/// The vector of a text whose `tokens` vectors of `width` numbers come first in `hidden`; padding follows them.
pub(crate) fn pool(hidden: &[f32], tokens: usize, width: usize, pooling: Pooling) -> Vec<f32> {
    let token = |index: usize| hidden[index * width..(index + 1) * width].to_vec();
    match pooling {
        Pooling::Mean => {
            let mut sum = vec![0.0_f32; width];
            for token in hidden[..tokens * width].chunks_exact(width) {
                for (sum, value) in sum.iter_mut().zip(token) {
                    *sum += value;
                }
            }
            let count = tokens as f32;
            sum.iter_mut().for_each(|sum| *sum /= count);
            sum
        }
        Pooling::Cls | Pooling::Graph => token(0),
        Pooling::Last => token(tokens - 1),
    }
}

/// Scales a vector to length 1, if wanted, and sees that it can be compared with others.
pub(crate) fn finish(mut vector: Vec<f32>, dimensions: usize, normalize: bool) -> Result<Vec<f32>, Error> {
    vector.truncate(dimensions);
    let square: f64 = vector.iter().map(|value| f64::from(*value).powi(2)).sum();
    if !square.is_finite() {
        return Err(Error::NotANumber("a vector that is not finite"));
    }
    if normalize {
        let length = square.sqrt() as f32;
        if length <= f32::MIN_POSITIVE {
            return Err(Error::NotANumber("a vector of length 0"));
        }
        vector.iter_mut().for_each(|value| *value /= length);
    }
    Ok(vector)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIDDEN: [f32; 8] = [3.0, 0.0, 1.0, 2.0, 2.0, 4.0, 99.0, 99.0];

    #[test]
    fn padding_has_no_part_in_it() {
        assert_eq!(pool(&HIDDEN, 3, 2, Pooling::Mean), [2.0, 2.0]);
        assert_eq!(pool(&HIDDEN, 3, 2, Pooling::Cls), [3.0, 0.0]);
        assert_eq!(pool(&HIDDEN, 3, 2, Pooling::Last), [2.0, 4.0]);
    }

    #[test]
    fn vectors_have_length_one_or_are_refused() {
        let vector = finish(vec![3.0, 4.0, 12.0], 2, true).expect("a vector");
        assert_eq!(vector, [0.6, 0.8]);
        assert_eq!(finish(vec![3.0, 4.0], 2, false).expect("a vector"), [3.0, 4.0]);
        for broken in [vec![f32::NAN, 1.0], vec![f32::INFINITY, 1.0], vec![0.0, 0.0]] {
            assert!(finish(broken, 2, true).is_err());
        }
    }
}
