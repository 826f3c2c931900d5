//! Embeddings in a row, one after another in memory.

/// Vectors of one width.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vectors {
    width: usize,
    values: Vec<f32>,
}

// === impl Vectors ===

impl Vectors {
    /// None yet; `width` numbers each, at least one.
    pub fn new(width: usize) -> Self {
        Self {
            width: width.max(1),
            values: Vec::new(),
        }
    }

    /// Cuts `values` into vectors. What is left over at the end is dropped.
    pub fn of(width: usize, mut values: Vec<f32>) -> Self {
        let width = width.max(1);
        values.truncate(values.len() / width * width);
        Self { width, values }
    }

    /// Numbers in a vector.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The bytes that they take.
    pub const fn bytes(&self) -> usize {
        self.values.len() * size_of::<f32>()
    }

    /// One of them.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.width..][..self.width]
    }

    /// All of them, in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }

    /// Appends one of the same width.
    pub fn push(&mut self, vector: &[f32]) {
        assert_eq!(vector.len(), self.width, "vectors of one width");
        self.values.extend_from_slice(vector);
    }

    /// Scales each to length 1; those of no length stay as they are.
    pub fn normalise(&mut self) {
        for row in self.values.chunks_exact_mut(self.width) {
            normalise(row);
        }
    }
}

/// Scales a vector to length 1, unless it has none.
pub(super) fn normalise(vector: &mut [f32]) {
    let length = dot(vector, vector).sqrt();
    if length > 1e-9 {
        for value in vector {
            *value /= length;
        }
    }
}

/// The scalar product, in eight lanes so that it compiles to vector instructions.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8
        .remainder()
        .iter()
        .zip(b8.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a8.zip(b8) {
        for lane in 0..8 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    lanes.iter().sum::<f32>() + rest
}
