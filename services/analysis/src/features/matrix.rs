//! Rows of values over time, and their summary.

use super::settings::Feature;

/// A feature over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// What it is.
    pub feature: Feature,
    /// Values of a frame.
    pub rows: usize,
    /// The index of the first frame.
    pub first: u64,
    /// The values, frame by frame. In a summary there are two frames: the means and the deviations.
    pub values: Vec<f32>,
}

/// Takes the frames of one feature, and keeps them or their summary.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    feature: Feature,
    rows: usize,
    first: u64,
    values: Vec<f32>,
    summary: Option<Summary>,
}

/// Means and squares of what lies around them (Welford 1962).
#[derive(Debug, Clone)]
struct Summary {
    frames: f64,
    means: Vec<f64>,
    squares: Vec<f64>,
}

// === impl Column ===

impl Column {
    pub(crate) fn new(feature: Feature, rows: usize, summary: bool) -> Self {
        Self {
            feature,
            rows,
            first: 0,
            values: Vec::new(),
            summary: summary.then(|| Summary {
                frames: 0.0,
                means: vec![0.0; rows],
                squares: vec![0.0; rows],
            }),
        }
    }

    pub(crate) const fn feature(&self) -> Feature {
        self.feature
    }

    /// Takes what `write` appends: one frame.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<f32>)) {
        write(&mut self.values);
        if let Some(summary) = &mut self.summary {
            summary.push(&self.values);
            self.values.clear();
        }
    }

    /// The frames since the last call, or, of a summary, nothing.
    pub(crate) fn take(&mut self) -> Option<Matrix> {
        if self.values.is_empty() {
            return None;
        }
        let values = std::mem::take(&mut self.values);
        let first = self.first;
        self.first += (values.len() / self.rows) as u64;
        Some(Matrix {
            feature: self.feature,
            rows: self.rows,
            first,
            values,
        })
    }

    /// What is left: the last frames, or the summary.
    pub(crate) fn finish(mut self) -> Option<Matrix> {
        if let Some(summary) = self.summary.take() {
            self.values = summary.values();
        }
        self.take()
    }
}

// === impl Summary ===

impl Summary {
    fn push(&mut self, values: &[f32]) {
        self.frames += 1.0;
        for ((value, mean), squares) in values.iter().zip(&mut self.means).zip(&mut self.squares) {
            let value = f64::from(*value);
            let away = value - *mean;
            *mean += away / self.frames;
            *squares += away * (value - *mean);
        }
    }

    /// The means, then the deviations of the population.
    fn values(&self) -> Vec<f32> {
        let deviation = |squares: &f64| (squares / self.frames.max(1.0)).sqrt();
        let deviations = self.squares.iter().map(deviation);
        self.means
            .iter()
            .copied()
            .chain(deviations)
            .map(|value| value as f32)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_given_once_and_know_their_place() {
        let mut column = Column::new(Feature::Chroma, 2, false);
        column.push(|out| out.extend([1.0, 2.0]));
        column.push(|out| out.extend([3.0, 4.0]));
        let first = column.take().expect("two frames");
        assert_eq!((first.first, first.values.len()), (0, 4));
        assert_eq!(column.take(), None);
        column.push(|out| out.extend([5.0, 6.0]));
        let rest = column.finish().expect("a frame");
        assert_eq!((rest.first, rest.values), (2, vec![5.0, 6.0]));
    }

    #[test]
    fn a_summary_is_means_and_deviations() {
        let mut column = Column::new(Feature::Mfcc, 2, true);
        for (a, b) in [(1.0, 10.0), (2.0, 10.0), (3.0, 10.0), (6.0, 10.0)] {
            column.push(|out| out.extend([a, b]));
            assert_eq!(column.take(), None);
        }
        let summary = column.finish().expect("a summary");
        assert_eq!(summary.values, [3.0, 10.0, 3.5f32.sqrt(), 0.0]);
    }
}
