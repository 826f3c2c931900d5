//! Agglomerative clustering: the two nearest groups become one, again and again.
//!
//! Distances to a new group follow from those to its halves (Lance and Williams 1967), so the vectors are looked at once.
//! The tree keeps every step; where to stop is decided afterwards, by a threshold or a number of groups.

use super::Wanted;
use super::vectors::{Vectors, dot};

/// How the distance of two groups follows from their members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linkage {
    /// The mean cosine distance over all pairs.
    Average,
    /// Half the squared distance of the means, which for single points is the cosine distance.
    Centroid,
}

/// Every step from single points to one group.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    points: usize,
    steps: Vec<Step>,
}

/// Two groups become one, which keeps the first's number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The group that stays, by the number of its first point.
    pub into: usize,
    /// The group that is no more.
    pub from: usize,
    /// How distant they were.
    pub distance: f32,
}

/// Distances of groups, the lower triangle of a matrix.
struct Distances {
    values: Vec<f32>,
}

/// The nearest later group of each group that there is.
struct Nearest {
    group: Vec<usize>,
    distance: Vec<f32>,
}

/// Builds the tree. `weights` has a positive weight for each point.
pub fn tree(points: &Vectors, weights: &[f32], linkage: Linkage) -> Tree {
    let count = points.len();
    let mut distances = Distances::of(points, linkage);
    let mut weights = weights.to_vec();
    let mut alive: Vec<usize> = (0..count).collect();
    let mut nearest = Nearest {
        group: vec![usize::MAX; count],
        distance: vec![f32::INFINITY; count],
    };
    for at in 0..count {
        nearest.search(&distances, &alive[at..]);
    }
    let mut steps = Vec::with_capacity(count.saturating_sub(1));
    while alive.len() > 1 {
        let closest = alive[..alive.len() - 1]
            .iter()
            .copied()
            .min_by(|a, b| nearest.distance[*a].total_cmp(&nearest.distance[*b]));
        let Some(into) = closest else { break };
        let (from, distance) = (nearest.group[into], nearest.distance[into]);
        steps.push(Step { into, from, distance });
        alive.retain(|group| *group != from);
        for &other in alive.iter().filter(|other| **other != into) {
            let to_halves = (distances.get(into, other), distances.get(from, other));
            let joined = linkage.joined(to_halves, distance, (weights[into], weights[from]));
            distances.set(into, other, joined);
        }
        weights[into] += weights[from];
        nearest.update(&distances, &alive, into, from);
    }
    Tree { points: count, steps }
}

// === impl Tree ===

impl Tree {
    /// The steps in the order in which they were taken.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Stops where the nearest groups are further than the threshold, or where the number of solid groups is within what
    /// is wanted, whichever is nearer to the threshold. Gives each point its group.
    pub fn cut(&self, weights: &[f32], wanted: &Wanted) -> Vec<usize> {
        let total: f32 = weights.iter().sum();
        // If little is said there may be no solid group, or not as many as are wanted: then lighter ones count.
        let mut solid = wanted.solid.min(total / wanted.at_least.max(1) as f32);
        loop {
            let counts = self.solid_groups(weights, solid);
            if let Some(taken) = self.stop(&counts, wanted) {
                return self.labels(taken);
            }
            if solid <= 0.0 {
                return self.labels(0);
            }
            solid = if solid > 0.1 { solid / 2.0 } else { 0.0 };
        }
    }

    /// How many groups are solid after each number of steps.
    fn solid_groups(&self, weights: &[f32], solid: f32) -> Vec<usize> {
        let mut weights = weights.to_vec();
        let is_solid = |weight: f32| weight >= solid;
        let mut count = weights.iter().filter(|weight| is_solid(**weight)).count();
        let mut counts = vec![count];
        for step in &self.steps {
            let (into, from) = (weights[step.into], weights[step.from]);
            weights[step.into] = into + from;
            count -= usize::from(is_solid(into)) + usize::from(is_solid(from));
            count += usize::from(is_solid(into + from));
            counts.push(count);
        }
        counts
    }

    /// How many steps to take; none where no number of steps gives enough groups.
    fn stop(&self, counts: &[usize], wanted: &Wanted) -> Option<usize> {
        let near = self
            .steps
            .iter()
            .take_while(|step| step.distance <= wanted.threshold)
            .count();
        if counts[near] > wanted.at_most {
            return (near..counts.len()).find(|taken| counts[*taken] <= wanted.at_most);
        }
        if counts[near] < wanted.at_least {
            // Earlier there may have been more; later, when small groups have become solid, too.
            return (0..near)
                .rev()
                .chain(near..counts.len())
                .find(|taken| counts[*taken] >= wanted.at_least);
        }
        Some(near)
    }

    /// The groups after so many steps, by the number of their first point.
    fn labels(&self, taken: usize) -> Vec<usize> {
        let mut parent: Vec<usize> = (0..self.points).collect();
        for step in &self.steps[..taken] {
            parent[step.from] = step.into;
        }
        (0..self.points)
            .map(|mut point| {
                while parent[point] != point {
                    point = parent[point];
                }
                point
            })
            .collect()
    }
}

// === impl Linkage ===

impl Linkage {
    /// The distance of a third group to two that become one.
    fn joined(self, (to_a, to_b): (f32, f32), between: f32, (a, b): (f32, f32)) -> f32 {
        let both = a + b;
        let mean = (a * to_a + b * to_b) / both;
        match self {
            Self::Average => mean,
            Self::Centroid => mean - (a / both) * (b / both) * between,
        }
    }
}

// === impl Distances ===

impl Distances {
    fn of(points: &Vectors, linkage: Linkage) -> Self {
        let count = points.len();
        let mut values = Vec::with_capacity(count * count.saturating_sub(1) / 2);
        let squares: Vec<f32> = points.rows().map(|row| dot(row, row)).collect();
        for later in 0..count {
            for earlier in 0..later {
                let product = dot(points.row(earlier), points.row(later));
                values.push(match linkage {
                    Linkage::Average => 1.0 - product,
                    // A mean of several points is inside the sphere.
                    Linkage::Centroid => (squares[earlier] + squares[later]) / 2.0 - product,
                });
            }
        }
        Self { values }
    }

    fn at(a: usize, b: usize) -> usize {
        let (earlier, later) = (a.min(b), a.max(b));
        later * later.saturating_sub(1) / 2 + earlier
    }

    fn get(&self, a: usize, b: usize) -> f32 {
        self.values[Self::at(a, b)]
    }

    fn set(&mut self, a: usize, b: usize, distance: f32) {
        self.values[Self::at(a, b)] = distance;
    }
}

// === impl Nearest ===

impl Nearest {
    /// Finds the nearest of the groups after the first of `groups`.
    fn search(&mut self, distances: &Distances, groups: &[usize]) {
        let Some((&group, later)) = groups.split_first() else {
            return;
        };
        let mut best = (usize::MAX, f32::INFINITY);
        for &other in later {
            let distance = distances.get(group, other);
            if distance < best.1 {
                best = (other, distance);
            }
        }
        (self.group[group], self.distance[group]) = best;
    }

    /// `from` has become part of `into`; `alive` are the groups that are left, ascending.
    fn update(&mut self, distances: &Distances, alive: &[usize], into: usize, from: usize) {
        for (at, &group) in alive.iter().enumerate() {
            let theirs = self.group[group];
            if group == into || theirs == from || theirs == into {
                self.search(distances, &alive[at..]);
            } else if group < into {
                // Only for the new group has the distance changed, and only to be shorter does it matter.
                let distance = distances.get(group, into);
                if distance < self.distance[group] {
                    (self.group[group], self.distance[group]) = (into, distance);
                }
            }
        }
    }
}
