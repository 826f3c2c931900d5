//! The smallest rectangle around points, at any angle: convex hull and rotating calipers (Toussaint 1983).
//!
//! In single precision and in the order of OpenCV, so that of rectangles that are equally small the same one is taken.

use std::f64::consts::PI;

/// A rectangle at any angle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rectangle {
    /// Its middle.
    pub center: [f32; 2],
    /// Its sides, along the angle and across it.
    pub size: [f32; 2],
    /// The direction of the first side, in degrees, clockwise.
    pub angle: f32,
}

// === impl Rectangle ===

impl Rectangle {
    /// The smallest around the points; none without points.
    pub fn around(points: &[[f32; 2]]) -> Option<Self> {
        let hull = hull(points);
        match *hull.as_slice() {
            [] => None,
            [center] => Some(Self {
                center,
                size: [0.0, 0.0],
                angle: 0.0,
            }),
            [a, b] => {
                let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
                Some(Self {
                    center: [(a[0] + b[0]) * 0.5, (a[1] + b[1]) * 0.5],
                    size: [length(dx, dy), 0.0],
                    angle: degrees(dx, dy) as f32,
                })
            }
            _ => Some(calipers(&hull)),
        }
    }

    /// The shorter side.
    pub fn short_side(&self) -> f32 {
        self.size[0].min(self.size[1])
    }

    /// The corners in order of walking around it.
    pub fn corners(&self) -> [[f32; 2]; 4] {
        let (sin, cos) = (f64::from(self.angle) * PI / 180.0).sin_cos();
        let (a, b) = (sin as f32 * 0.5, cos as f32 * 0.5);
        let ([x, y], [w, h]) = (self.center, self.size);
        [
            [x - a * h - b * w, y + b * h - a * w],
            [x + a * h - b * w, y - b * h - a * w],
            [x + a * h + b * w, y - b * h + a * w],
            [x - a * h + b * w, y + b * h + a * w],
        ]
    }
}

fn length(x: f32, y: f32) -> f32 {
    (f64::from(x) * f64::from(x) + f64::from(y) * f64::from(y)).sqrt() as f32
}

fn degrees(x: f32, y: f32) -> f64 {
    f64::from(y).atan2(f64::from(x)) * 180.0 / PI
}

/// The convex hull, clockwise as seen with rows downwards; points on its sides are left out.
///
/// Where the hull runs along the order of the points, or against it, it begins with the first or the last of them: this
/// decides which of equally small rectangles is taken.
fn hull(points: &[[f32; 2]]) -> Vec<[f32; 2]> {
    let mut sorted: Vec<(usize, [f32; 2])> = points.iter().copied().enumerate().collect();
    sorted
        .sort_unstable_by(|(i, a), (j, b)| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])).then(i.cmp(j)));
    sorted.dedup_by_key(|(_, point)| *point);
    let mut hull = if sorted.len() < 3 {
        sorted
    } else {
        let mut hull = chain(sorted.iter());
        hull.extend(chain(sorted.iter().rev()));
        hull
    };
    let places = || hull.iter().map(|(place, _)| *place).enumerate();
    if let (Some((first, _)), Some((last, _))) = (places().min_by_key(|p| p.1), places().max_by_key(|p| p.1))
    {
        if (last + 1) % hull.len() == first {
            hull.rotate_left(first);
        } else if (first + 1) % hull.len() == last {
            hull.rotate_left(last);
        }
    }
    hull.into_iter().map(|(_, point)| point).collect()
}

/// Half of a hull: from the first point to the last, without the last.
fn chain<'a>(points: impl Iterator<Item = &'a (usize, [f32; 2])>) -> Vec<(usize, [f32; 2])> {
    let cross = |a: [f32; 2], b: [f32; 2], c: [f32; 2]| {
        (f64::from(b[0]) - f64::from(a[0])) * (f64::from(c[1]) - f64::from(a[1]))
            - (f64::from(b[1]) - f64::from(a[1])) * (f64::from(c[0]) - f64::from(a[0]))
    };
    let mut chain: Vec<(usize, [f32; 2])> = Vec::new();
    for &point in points {
        while let [.., (_, a), (_, b)] = *chain.as_slice()
            && cross(a, b, point.1) <= 0.0
        {
            chain.pop();
        }
        chain.push(point);
    }
    chain.pop();
    chain
}

/// Turns four calipers around a hull of three points or more; the smallest rectangle they hold.
fn calipers(hull: &[[f32; 2]]) -> Rectangle {
    let count = hull.len();
    let sides: Vec<[f32; 2]> = (0..count)
        .map(|i| {
            let (a, b) = (hull[i], hull[(i + 1) % count]);
            [b[0] - a[0], b[1] - a[1]]
        })
        .collect();
    let inverse: Vec<f32> = sides
        .iter()
        .map(|side| {
            let (x, y) = (f64::from(side[0]), f64::from(side[1]));
            (1.0 / (x * x + y * y).sqrt()) as f32
        })
        .collect();
    let (mut left, mut right, mut top, mut bottom) = (0, 0, 0, 0);
    for (i, point) in hull.iter().enumerate() {
        if point[0] < hull[left][0] {
            left = i;
        }
        if point[0] > hull[right][0] {
            right = i;
        }
        if point[1] > hull[top][1] {
            top = i;
        }
        if point[1] < hull[bottom][1] {
            bottom = i;
        }
    }
    let mut touch = [bottom, right, top, left];
    let mut best: Option<(f32, Rectangle)> = None;
    for _ in 0..count {
        // The side that the calipers meet first, each turned into the frame of the first caliper.
        let turned = [
            sides[touch[0]],
            [sides[touch[1]][1], -sides[touch[1]][0]],
            [-sides[touch[2]][0], -sides[touch[2]][1]],
            [-sides[touch[3]][1], sides[touch[3]][0]],
        ];
        let mut main = 0;
        for i in 1..4 {
            if turned[i][1] * turned[main][0] - turned[i][0] * turned[main][1] < 0.0 {
                main = i;
            }
        }
        let lead = touch[main];
        let (x, y) = (sides[lead][0] * inverse[lead], sides[lead][1] * inverse[lead]);
        let (a, b) = match main {
            0 => (x, y),
            1 => (y, -x),
            2 => (-x, -y),
            _ => (-y, x),
        };
        touch[main] = (lead + 1) % count;
        let between = |i: usize, j: usize| {
            [
                hull[touch[i]][0] - hull[touch[j]][0],
                hull[touch[i]][1] - hull[touch[j]][1],
            ]
        };
        let across = between(1, 3);
        let width = across[0] * a + across[1] * b;
        let down = between(2, 0);
        let height = -down[0] * b + down[1] * a;
        let area = width * height;
        if best.is_none_or(|(least, _)| area <= least) {
            best = Some((
                area,
                held(hull[touch[3]], hull[touch[0]], [a, b], [width, height]),
            ));
        }
    }
    best.map_or_else(|| unreachable!("a hull has sides"), |(_, rectangle)| rectangle)
}

/// The rectangle whose sides run along `[a, b]` and across it, the first through `left`, the second through `bottom`.
fn held(left: [f32; 2], bottom: [f32; 2], [a, b]: [f32; 2], [width, height]: [f32; 2]) -> Rectangle {
    let c1 = a * left[0] + left[1] * b;
    let c2 = -b * bottom[0] + bottom[1] * a;
    let inverse = 1.0 / (a * a + b * b);
    let corner = [(c1 * a - c2 * b) * inverse, (a * c2 + b * c1) * inverse];
    let along = [a * width, b * width];
    let across = [-b * height, a * height];
    let mut size = [length(along[0], along[1]), length(across[0], across[1])];
    let mut angle = degrees(along[0], along[1]);
    while angle >= 0.0 {
        angle -= 90.0;
        size.swap(0, 1);
    }
    Rectangle {
        center: [
            corner[0] + (along[0] + across[0]) * 0.5,
            corner[1] + (along[1] + across[1]) * 0.5,
        ],
        size,
        angle: angle as f32,
    }
}
