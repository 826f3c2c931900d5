//! The borders of the patches of a mask: Suzuki and Abe, "Topological structural analysis of digitized binary images by
//! border following" (1985), without the tree.
//!
//! Outer borders and the borders of holes, 8-connected, in the order in which a scan from the top left meets them. Of
//! straight runs only the ends are kept. A crate has this too, but it loses patches that touch the left edge.

/// A point of a mask: column and row.
pub type Pixel = [i32; 2];

/// Steps around a pixel, counter-clockwise from the right; rows count downwards.
const STEPS: [(isize, isize); 8] = [
    (1, 0),
    (1, -1),
    (0, -1),
    (-1, -1),
    (-1, 0),
    (-1, 1),
    (0, 1),
    (1, 1),
];
const RIGHT: usize = 0;
const LEFT: usize = 4;

/// A pixel of a patch that no border has passed.
const FRESH: i8 = 1;
/// A pixel that a border has passed.
const PASSED: i8 = 2;
/// A pixel that a border has passed with nothing to its right: no border of a hole begins there.
const CLOSED: i8 = -2;

/// The mask with an empty frame of one pixel, so that no step leads out of it.
struct Field {
    cells: Vec<i8>,
    stride: usize,
    offsets: [isize; 8],
}

/// The borders of all patches of non-zero pixels in a mask of `width` columns.
pub fn contours(mask: &[u8], width: usize) -> Vec<Vec<Pixel>> {
    let mut found = Vec::new();
    if width == 0 {
        return found;
    }
    let mut field = Field::framed(mask, width);
    let height = mask.len() / width;
    for row in 1..=height {
        let mut previous = 0;
        for column in 1..=width + 1 {
            let at = row * field.stride + column;
            let here = field.cells[at];
            if here == previous {
                continue;
            }
            if previous == 0 && here == FRESH {
                found.push(field.follow(at, LEFT));
            } else if here == 0 && previous > 0 {
                found.push(field.follow(at - 1, RIGHT));
            }
            // The border may have marked this very pixel.
            previous = field.cells[at];
        }
    }
    found
}

// === impl Field ===

impl Field {
    fn framed(mask: &[u8], width: usize) -> Self {
        let stride = width + 2;
        let mut cells = vec![0; stride * (mask.len() / width + 2)];
        for (row, pixels) in mask.chunks_exact(width).enumerate() {
            let start = (row + 1) * stride + 1;
            for (cell, &pixel) in cells[start..].iter_mut().zip(pixels) {
                *cell = i8::from(pixel != 0);
            }
        }
        let offsets = STEPS.map(|(x, y)| y * stride as isize + x);
        Self {
            cells,
            stride,
            offsets,
        }
    }

    fn beside(&self, at: usize, step: usize) -> usize {
        at.wrapping_add_signed(self.offsets[step])
    }

    fn pixel(&self, at: usize) -> Pixel {
        [(at % self.stride) as i32 - 1, (at / self.stride) as i32 - 1]
    }

    /// Follows the border that begins at `start`, whose neighbour in the direction `empty` is no part of the patch.
    fn follow(&mut self, start: usize, empty: usize) -> Vec<Pixel> {
        // Clockwise from the empty neighbour to the first that is part of the patch: the last pixel of the walk.
        let last = (1..8)
            .map(|turn| (empty + 8 - turn) % 8)
            .find(|&step| self.cells[self.beside(start, step)] != 0);
        let Some(mut from) = last else {
            self.cells[start] = CLOSED;
            return vec![self.pixel(start)];
        };
        let end = self.beside(start, from);
        let mut points = Vec::new();
        let mut at = start;
        let mut came_by = (from + 4) % 8;
        loop {
            // Counter-clockwise from where the walk came from to the next pixel of the patch; there is one, at the
            // latest where it came from.
            let mut step = from + 1;
            while self.cells[self.beside(at, step % 8)] == 0 {
                step += 1;
            }
            let passed_right = (from + 1..step).any(|step| step % 8 == RIGHT);
            let step = step % 8;
            if passed_right {
                self.cells[at] = CLOSED;
            } else if self.cells[at] == FRESH {
                self.cells[at] = PASSED;
            }
            if step != came_by {
                points.push(self.pixel(at));
            }
            came_by = step;
            let next = self.beside(at, step);
            if next == start && at == end {
                return points;
            }
            at = next;
            from = (step + 4) % 8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn borders(rows: &[&str]) -> Vec<Vec<Pixel>> {
        let width = rows[0].len();
        let mask: Vec<u8> = rows.concat().bytes().map(|byte| u8::from(byte == b'#')).collect();
        contours(&mask, width)
    }

    #[test]
    fn a_patch_at_the_edge_has_its_whole_border() {
        let all = borders(&["##.", "##.", "..."]);
        assert_eq!(all, [vec![[0, 0], [0, 1], [1, 1], [1, 0]]]);
    }

    #[test]
    fn a_hole_has_a_border_of_its_own_and_diagonals_join() {
        let all = borders(&[
            ".....", //
            ".###.", ".#.#.", ".###.", "....#",
        ]);
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(
            all[0].contains(&[4, 4]),
            "the corner pixel belongs to the ring: {all:?}"
        );
        let mut hole = all[1].clone();
        hole.sort_unstable();
        assert_eq!(hole, [[1, 2], [2, 1], [2, 3], [3, 2]]);
    }

    #[test]
    fn a_single_pixel_and_an_empty_mask_are_borders_too() {
        assert_eq!(borders(&["...", ".#.", "..."]), [vec![[1, 1]]]);
        assert!(borders(&["...", "..."]).is_empty());
        assert!(contours(&[], 0).is_empty());
    }
}
