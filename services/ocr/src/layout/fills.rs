//! Where the ground of an area changes from one row of pixels to the next over its whole width: the edges of rows that
//! are told apart by their colour.

use super::frame::Area;
use super::rules::Ground;

/// Grey levels by which grounds differ.
const OTHER: u8 = 12;
/// Rows of pixels above and below an edge that are compared: a rule between them is stepped over.
const REACH: usize = 4;

/// The heights of the edges, in the coordinates of the area.
pub(super) fn edges(ground: &Ground, area: &Area) -> Vec<f32> {
    let levels = levels(ground, area);
    let mut edges: Vec<(usize, usize)> = Vec::new();
    for row in REACH..levels.len().saturating_sub(REACH) {
        if levels[row - REACH].abs_diff(levels[row + REACH]) <= OTHER {
            continue;
        }
        match edges.last_mut() {
            Some((_, last)) if row - *last <= 2 => *last = row,
            _ => edges.push((row, row)),
        }
    }
    // The change from one ground to another is seen for as long as it is within reach; for less it is a rule, for longer
    // a gradient.
    edges.retain(|(first, last)| (2 * REACH - 2..3 * REACH).contains(&(last - first + 1)));
    edges
        .into_iter()
        .map(|(first, last)| area.top + (first + last + 1) as f32 / 2.0 * ground.scale)
        .collect()
}

/// The median grey level of each row of pixels.
fn levels(ground: &Ground, area: &Area) -> Vec<u8> {
    let pixel = |value: f32, most: u32| ((value / ground.scale).max(0.0) as u32).min(most) as usize;
    let (width, height) = ground.grey.dimensions();
    let (left, right) = (pixel(area.left, width), pixel(area.right, width));
    if left >= right {
        return Vec::new();
    }
    (pixel(area.top, height)..pixel(area.bottom, height))
        .map(|row| {
            let mut row = ground.grey.as_raw()[row * width as usize..][left..right].to_vec();
            let middle = row.len() / 2;
            *row.select_nth_unstable(middle).1
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use image::GrayImage;

    use super::*;

    #[test]
    fn an_edge_lies_where_the_ground_changes_for_good() {
        // A dark head, a thin rule further down, and a gradient at the end.
        let grey = GrayImage::from_fn(50, 100, |x, y| {
            image::Luma([match y {
                0..20 => 140,
                50..52 => 0,
                70.. => (250 - (y - 70) * 4) as u8,
                _ if x % 9 == 0 => 30,
                _ => 250,
            }])
        });
        let ground = Ground { grey, scale: 2.0 };
        let area = Area {
            left: 10.0,
            top: 0.0,
            right: 90.0,
            bottom: 200.0,
        };
        assert_eq!(edges(&ground, &area), [40.0]);
        assert!(edges(&ground, &Area::default()).is_empty());
    }
}
