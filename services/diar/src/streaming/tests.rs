use super::*;
use crate::clustering::agglomerative::Linkage;
use crate::domain::{Clustering, Options, Told};

fn wanted(most: usize) -> Wanted {
    Wanted {
        method: Clustering::Agglomerative,
        linkage: Linkage::Average,
        threshold: 0.3,
        at_least: 1,
        at_most: most,
        solid: 0.0,
    }
}

fn online(revisions: bool, most: usize) -> Online {
    let options = StreamOptions {
        revisions,
        options: Options::default(),
        ..StreamOptions::default()
    };
    Online::new(&options, wanted(most), 4_800)
}

/// Half a second of a voice at this angle, from this second on.
fn piece(start: f64, angle: f32) -> Piece {
    let start = (start * 16_000.0) as u64;
    Piece {
        spans: std::iter::once(start..start + 8_000).collect(),
        voice: vec![angle.cos(), angle.sin()],
        lane: 0,
    }
}

/// What a client knows when it has heard all events.
fn known(events: &[Event]) -> Vec<(f64, f64, usize)> {
    let mut segments: std::collections::BTreeMap<u64, Told> = std::collections::BTreeMap::new();
    for event in events {
        match event {
            Event::Segments(told) => {
                for told in told {
                    let before = segments.insert(told.id, told.clone());
                    let revision = before.map_or(0, |before| before.revision);
                    assert_eq!(told.revision, revision + 1, "{told:?}");
                }
            }
            Event::Merged { from, into } => {
                for told in segments.values_mut().filter(|told| told.segment.speaker == *from) {
                    told.segment.speaker = *into;
                }
            }
        }
    }
    let segment = |told: Told| {
        let Told { segment, .. } = told;
        (
            segment.start.as_secs_f64(),
            segment.end.as_secs_f64(),
            segment.speaker,
        )
    };
    segments.into_values().map(segment).collect()
}

fn run(mut online: Online, pieces: Vec<Piece>) -> (Vec<Event>, Ended) {
    let mut events = Vec::new();
    for piece in pieces {
        let end = piece.spans.last().map_or(0, |span| span.end);
        online.hear(piece, &mut events);
        online.tell(end, &mut events);
    }
    let ended = online.finish(&mut events);
    (events, ended)
}

#[test]
fn two_voices_are_two_people_and_each_comes_back_to_its_number() {
    let voices = [0.0, 0.1, 1.5, 1.4, 0.05];
    let pieces = voices
        .iter()
        .enumerate()
        .map(|(at, angle)| piece(at as f64 * 0.5, *angle));
    for revisions in [true, false] {
        let (events, ended) = run(online(revisions, 20), pieces.clone().collect());
        assert_eq!(
            known(&events),
            [(0.0, 1.0, 0), (1.0, 2.0, 1), (2.0, 2.5, 0)],
            "{revisions}"
        );
        assert_eq!(ended.speakers.len(), 2);
        assert!((ended.speakers[0].speech.as_secs_f64() - 1.5).abs() < 1e-3);
    }
}

#[test]
fn without_revisions_nothing_is_told_twice() {
    let pieces = (0..20).map(|at| piece(f64::from(at) * 0.5, if at % 7 < 4 { 0.0 } else { 1.5 }));
    let (events, _) = run(online(false, 20), pieces.collect());
    let told = events.iter().flat_map(|event| match event {
        Event::Segments(told) => told.clone(),
        Event::Merged { .. } => panic!("a correction"),
    });
    assert!(told.clone().all(|told| told.revision == 1));
    assert!(told.count() >= 5);
}

#[test]
fn two_numbers_that_turn_out_to_be_one_person_are_merged() {
    // The second piece is a little too far from the first; those that follow lie between.
    let angles = [0.0, 0.85, 0.4, 0.45, 0.42, 0.38, 0.43, 0.41, 0.44, 0.4];
    let pieces = angles
        .iter()
        .enumerate()
        .map(|(at, angle)| piece(at as f64 * 0.5, *angle));
    let (events, ended) = run(online(true, 20), pieces.collect());
    assert!(
        events.iter().any(|event| matches!(event, Event::Merged { .. })),
        "{events:?}"
    );
    let speakers: Vec<usize> = known(&events)
        .into_iter()
        .map(|(_, _, speaker)| speaker)
        .collect();
    assert!(
        speakers.iter().all(|speaker| *speaker == speakers[0]),
        "{events:?}"
    );
    assert_eq!(
        ended
            .speakers
            .iter()
            .filter(|speaker| !speaker.speech.is_zero())
            .count(),
        1
    );
}

#[test]
fn a_pause_parts_segments_only_when_it_is_long() {
    let pieces = vec![piece(0.0, 0.0), piece(0.7, 0.0), piece(3.0, 0.0)];
    let (events, _) = run(online(true, 20), pieces);
    assert_eq!(known(&events), [(0.0, 1.2, 0), (3.0, 3.5, 0)]);
}

#[test]
fn no_more_people_are_found_than_there_may_be() {
    let pieces = (0..12).map(|at| piece(f64::from(at) * 0.5, at as f32 * 0.9));
    let (_, ended) = run(online(true, 2), pieces.collect());
    assert!(
        ended
            .speakers
            .iter()
            .filter(|speaker| !speaker.speech.is_zero())
            .count()
            <= 2
    );
}

#[test]
fn a_long_stream_forgets_what_was_told() {
    let mut stream = online(true, 20);
    let mut events = Vec::new();
    for at in 0..(MEMORY as u32 * 3) {
        let angle = if at % 10 < 5 { 0.0 } else { 1.5 };
        stream.hear(piece(f64::from(at) * 0.5, angle), &mut events);
        stream.tell(u64::from(at) * 8_000, &mut events);
    }
    assert_eq!(stream.pieces.len(), MEMORY);
    assert!(stream.teller.len() <= MEMORY);
    let segments = known(&events);
    assert!(
        segments
            .windows(2)
            .all(|pair| pair[0].1 <= pair[1].0 + 1e-9 && pair[0].2 != pair[1].2),
        "{segments:?}"
    );
}
