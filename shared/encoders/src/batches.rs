//! Which texts go through the model together: those of about one length, so that little of the work is padding.
//!
//! On a processor a text of 64 tokens keeps one core as busy as eight of them would; only short ones gain by company,
//! because the weights are then read once for all. So batches are small, and there are many for several cores to share.

/// How batches are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The most tokens of a batch, padding included; a longer text goes alone.
    pub(crate) tokens: usize,
    /// The most texts of a batch.
    pub(crate) texts: usize,
    /// The most padding, in percent of the batch.
    pub(crate) padding: usize,
}

/// What suits a processor.
const PROCESSOR: Rule = Rule {
    tokens: 256,
    texts: 8,
    padding: 10,
};
/// What suits a GPU.
const GPU: Rule = Rule {
    tokens: 16_384,
    texts: 256,
    padding: 20,
};
/// With so few tokens the work is to read the weights, whatever they are padded to.
const FEW: usize = 64;

// === impl Rule ===

impl Rule {
    pub(crate) const fn of(on_gpu: bool) -> Self {
        if on_gpu { GPU } else { PROCESSOR }
    }

    /// Parts texts of these lengths into batches, each a list of places, so that `workers` have something to do.
    /// The longest come first: what is left at the end is short, and nobody waits long for the last batch.
    pub(crate) fn cut(&self, lengths: &[usize], workers: usize) -> Vec<Vec<usize>> {
        let all: usize = lengths.iter().sum();
        let tokens = self.tokens.min((all / workers.max(1)).max(FEW));
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&place| std::cmp::Reverse(lengths[place]));
        let mut batches: Vec<Vec<usize>> = Vec::new();
        // The length of the longest of the last batch, and what its texts have together.
        let (mut longest, mut held) = (0, 0);
        for place in order {
            let length = lengths[place];
            let joins = batches.last().is_some_and(|batch| {
                let size = longest * (batch.len() + 1);
                let padding = (size - held - length) * 100 <= size * self.padding;
                batch.len() < self.texts && size <= tokens && (padding || size <= FEW)
            });
            if joins && let Some(batch) = batches.last_mut() {
                batch.push(place);
                held += length;
            } else {
                batches.push(vec![place]);
                (longest, held) = (length, length);
            }
        }
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_in_one_batch_within_the_bounds() {
        let rule = Rule::of(false);
        let lengths: Vec<usize> = (0..500_usize).map(|n| 3 + n * 7919 % 254).collect();
        let batches = rule.cut(&lengths, 2);
        let mut seen: Vec<usize> = batches.concat();
        seen.sort_unstable();
        assert_eq!(seen, (0..500).collect::<Vec<_>>());
        for batch in &batches {
            let longest = batch.iter().map(|&place| lengths[place]).max().expect("a text");
            let held: usize = batch.iter().map(|&place| lengths[place]).sum();
            let size = longest * batch.len();
            assert!(batch.len() == 1 || size <= rule.tokens);
            assert!(batch.len() <= rule.texts);
            assert!(size <= FEW || (size - held) * 100 <= size * rule.padding);
        }
        let padded: usize = batches
            .iter()
            .map(|batch| batch.iter().map(|&place| lengths[place]).max().unwrap_or(0) * batch.len())
            .sum();
        assert!(padded * 100 <= lengths.iter().sum::<usize>() * 105);
    }

    #[test]
    fn two_texts_go_to_two_workers_unless_they_are_short() {
        let rule = Rule::of(false);
        assert_eq!(rule.cut(&[100, 100], 2), [[0], [1]]);
        assert_eq!(rule.cut(&[8, 9], 2), [[1, 0]]);
        assert_eq!(rule.cut(&[], 2), Vec::<Vec<usize>>::new());
        assert_eq!(rule.cut(&[100, 100], 1), [[0, 1]]);
        // A GPU takes what a processor would take in many parts.
        assert_eq!(Rule::of(true).cut(&[100; 64], 1).len(), 1);
    }
}
