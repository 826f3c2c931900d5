//! The second thought of a stream: its recent pieces grouped anew, and who turns out to be whom.

use super::{Online, Person};
use crate::clustering::{self, Vectors};
use crate::domain::Event;

impl Online {
    /// Groups the pieces in memory as a recording's would be, and takes the groups over.
    pub(super) fn review(&mut self, events: &mut Vec<Event>) {
        self.unreviewed = 0.0;
        let Some(first) = self.pieces.front() else { return };
        let mut voices = Vectors::new(first.piece.voice.len());
        let mut weights = Vec::with_capacity(self.pieces.len());
        for judged in &self.pieces {
            voices.push(&judged.piece.voice);
            weights.push(judged.seconds);
        }
        let groups = clustering::group(&voices, &weights, &self.wanted);
        let names = self.names(&groups);
        let before: Vec<usize> = self.pieces.iter().map(|judged| judged.person).collect();
        for (judged, group) in self.pieces.iter_mut().zip(&groups) {
            let (was, is) = (judged.person, names[*group]);
            if was != is {
                self.people[was].take(&judged.piece.voice, judged.seconds);
                self.people[is].add(&judged.piece.voice, judged.seconds);
                judged.person = is;
            }
        }
        self.merge(&before, events);
    }

    /// The person that each group is: the one who most of it was, the heaviest claims first; else somebody new.
    fn names(&mut self, groups: &[usize]) -> Vec<usize> {
        let count = groups.iter().max().map_or(0, |last| last + 1);
        let mut claims = vec![vec![0.0_f32; self.people.len()]; count];
        for (judged, group) in self.pieces.iter().zip(groups) {
            claims[*group][judged.person] += judged.seconds;
        }
        let mut ranked: Vec<(usize, usize, f32)> = Vec::new();
        for (group, row) in claims.iter().enumerate() {
            let claims = row.iter().enumerate().filter(|(_, seconds)| **seconds > 0.0);
            ranked.extend(claims.map(|(person, seconds)| (group, person, *seconds)));
        }
        ranked.sort_by(|a, b| b.2.total_cmp(&a.2));
        let mut names: Vec<Option<usize>> = vec![None; count];
        let mut taken = vec![false; self.people.len()];
        for (group, person, _) in ranked {
            if names[group].is_none() && !taken[person] {
                names[group] = Some(person);
                taken[person] = true;
            }
        }
        let name = |name: Option<usize>| {
            name.unwrap_or_else(|| {
                self.people.push(Person::default());
                self.people.len() - 1
            })
        };
        names.into_iter().map(name).collect()
    }

    /// Says who is no more because all that was heard of them is somebody else's. Whoever was also heard in pieces that
    /// are forgotten stays.
    fn merge(&mut self, before: &[usize], events: &mut Vec<Event>) {
        for from in 0..self.people.len() {
            let gone = self.people[from].forgotten <= 0.0
                && before.contains(&from)
                && self.pieces.iter().all(|judged| judged.person != from);
            if !gone {
                continue;
            }
            let mut shares = vec![0.0_f32; self.people.len()];
            for (judged, _) in self.pieces.iter().zip(before).filter(|(_, was)| **was == from) {
                shares[judged.person] += judged.seconds;
            }
            let heirs = shares.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            self.people[from] = Person::default();
            if let Some((into, _)) = heirs.filter(|(into, _)| *into != from) {
                self.teller.merged(from, into);
                events.push(Event::Merged { from, into });
            }
        }
    }
}
