//! How probable text is within a box, on average.

use super::Map;

/// The leftmost and rightmost pixel of each row that a polygon covers, its outline included.
struct Rows {
    top: i32,
    ends: Vec<(i32, i32)>,
}

// === impl Map ===

impl Map {
    /// The mean probability within the corners.
    pub(super) fn score(&self, corners: &[[f32; 2]; 4]) -> f64 {
        let (most_x, most_y) = (self.width as i32 - 1, self.height as i32 - 1);
        let lowest = |axis: usize| {
            corners
                .iter()
                .map(|c| c[axis])
                .fold(f32::INFINITY, f32::min)
                .floor() as i32
        };
        let highest = |axis: usize| {
            corners
                .iter()
                .map(|c| c[axis])
                .fold(f32::NEG_INFINITY, f32::max)
                .ceil() as i32
        };
        let (left, right) = (lowest(0).clamp(0, most_x), highest(0).clamp(0, most_x));
        let (top, bottom) = (lowest(1).clamp(0, most_y), highest(1).clamp(0, most_y));
        let polygon = corners.map(|[x, y]| [(x - left as f32) as i32, (y - top as f32) as i32]);
        let rows = Rows::of(&polygon);
        let (mut sum, mut count) = (0.0, 0_usize);
        for (row, &(from, to)) in rows.ends.iter().enumerate() {
            let y = rows.top + row as i32;
            if y < 0 || y > bottom - top {
                continue;
            }
            let (from, to) = (from.max(0) + left, to.min(right - left) + left);
            if from > to {
                continue;
            }
            let start = (y + top) as usize * self.width;
            let pixels = &self.values[start + from as usize..=start + to as usize];
            sum += pixels.iter().map(|&value| f64::from(value)).sum::<f64>();
            count += pixels.len();
        }
        if count == 0 { 0.0 } else { sum / count as f64 }
    }
}

// === impl Rows ===

impl Rows {
    fn of(polygon: &[[i32; 2]; 4]) -> Self {
        let heights = polygon.map(|corner| corner[1]);
        let top = heights.iter().copied().min().unwrap_or(0);
        let bottom = heights.iter().copied().max().unwrap_or(0);
        let mut rows = Self {
            top,
            ends: vec![(i32::MAX, i32::MIN); (bottom - top + 1) as usize],
        };
        for i in 0..4 {
            rows.line(polygon[i], polygon[(i + 1) % 4]);
        }
        rows
    }

    /// Every pixel of a line (Bresenham 1965, from left to right).
    fn line(&mut self, a: [i32; 2], b: [i32; 2]) {
        let (a, b) = if a[0] <= b[0] { (a, b) } else { (b, a) };
        let (dx, dy) = (b[0] - a[0], (b[1] - a[1]).abs());
        let down = (b[1] - a[1]).signum();
        let (long, short) = (dx.max(dy), dx.min(dy));
        let [mut x, mut y] = a;
        let mut error = long - 2 * short;
        for _ in 0..=long {
            let ends = &mut self.ends[(y - self.top) as usize];
            *ends = (ends.0.min(x), ends.1.max(x));
            let both = error < 0;
            error += if both { 2 * long - 2 * short } else { -2 * short };
            if dx >= dy {
                x += 1;
                y += if both { down } else { 0 };
            } else {
                y += down;
                x += i32::from(both);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_within_counts() {
        let map = Map {
            values: (0..100).map(|i| if i % 10 < 5 { 1.0 } else { 0.0 }).collect(),
            width: 10,
            height: 10,
        };
        let upright = |left: f32, right: f32| [[left, 2.0], [right, 2.0], [right, 7.0], [left, 7.0]];
        assert!((map.score(&upright(0.0, 4.0)) - 1.0).abs() < 1e-9);
        assert!((map.score(&upright(0.0, 9.0)) - 0.5).abs() < 1e-9);
        let diamond = [[0.0, 4.0], [4.0, 0.0], [8.0, 4.0], [4.0, 8.0]];
        let score = map.score(&diamond);
        assert!((0.55..0.7).contains(&score), "the middle column counts: {score}");
    }
}
