use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::parse::{Format, Limits, parse};

const RULES: ChunkRules = ChunkRules {
    target: 12,
    most: 20,
    overlap: 4,
};

/// Words are tokens here.
fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

fn cut_markdown(text: &str) -> Vec<Passage> {
    let parsed = parse(Format::Markdown, text.as_bytes(), Limits::default()).expect("reads");
    passages(&parsed, RULES, words)
}

#[test]
fn a_heading_that_is_too_long_to_stand_above_others_is_not_lost() {
    let long = format!("{}end", "word ".repeat(100));
    let passages = cut_markdown(&format!("# {long}\n\nText.\n"));
    assert!(passages.iter().any(|passage| passage.text.contains("end")));
    assert!(
        passages
            .iter()
            .all(|passage| !passage.headings.join("").contains("end"))
    );
    let short = cut_markdown("# Short\n\nText.\n");
    assert_eq!(short.len(), 1);
}

fn placed(places: Vec<Option<Place>>) -> Parsed {
    let mut text = String::new();
    let blocks = places
        .into_iter()
        .map(|place| {
            let start = text.len();
            text.push_str("two words.\n");
            Block {
                kind: BlockKind::Paragraph,
                range: start..text.len() - 1,
                headings: Arc::from([]),
                place,
            }
        })
        .collect();
    Parsed {
        title: None,
        text,
        blocks,
    }
}

#[test]
fn passages_fill_up_to_the_target_and_share_their_last_sentences() {
    let sentence = "One two three four. ";
    let passages = cut_markdown(&sentence.repeat(7));
    let tokens: Vec<_> = passages.iter().map(|passage| passage.tokens).collect();
    assert_eq!(tokens, [12, 12, 12]);
    assert_eq!(
        passages[1].text,
        "One two three four. One two three four. One two three four."
    );
    // The third sentence is in both.
    assert_eq!(passages[0].range.end, 59);
    assert_eq!(passages[1].range.start, 40);
}

#[test]
fn a_heading_ends_a_passage_that_is_long_enough_and_stands_above_the_next() {
    let passages = cut_markdown("# A\n\nOne two three four five.\n\n## B\n\nSix.\n\n## C\n\nSeven.\n\n# D\n");
    let told: Vec<_> = passages
        .iter()
        .map(|passage| (passage.text.as_str(), passage.headings.join("/")))
        .collect();
    assert_eq!(
        told,
        [
            ("One two three four five.", "A".to_owned()),
            ("Six.\n\n## C\n\nSeven.\n\n# D", "A/B".to_owned()),
        ]
    );
}

#[test]
fn a_sentence_without_an_end_is_cut_between_words_and_a_word_without_one_is_cut_too() {
    let long = "word ".repeat(1000);
    let passages = cut_markdown(&long);
    assert!(
        passages
            .iter()
            .all(|passage| passage.tokens <= 20 && !passage.text.contains("rdwo"))
    );
    assert!(passages.len() < 200, "words stay together");
    // Each character a token: what has no blanks at all is cut to fit.
    let letters = |text: &str| text.chars().count();
    let parsed = parse(Format::Plain, "ü".repeat(500).as_bytes(), Limits::default()).expect("reads");
    let passages = super::passages(&parsed, RULES, letters);
    assert!(passages.iter().all(|passage| passage.tokens <= 20));
    let joined: String = passages.iter().map(|passage| passage.text.as_str()).collect();
    assert!(joined.chars().count() >= 500);
}

#[test]
fn a_passage_is_on_one_page_and_in_the_box_around_its_parts() {
    let on = |page, left: f32| {
        let (right, bottom) = (left + 0.1, 0.2);
        let outline = vec![[left, 0.1], [right, 0.1], [right, bottom], [left, bottom]];
        Some(Place::Page { page, outline })
    };
    let passages = passages(&placed(vec![on(0, 0.1), on(0, 0.5), on(1, 0.1)]), RULES, words);
    let Some(Place::Page { page: 0, outline }) = &passages[0].place else {
        panic!("{:?}", passages[0]);
    };
    assert_eq!(outline, &[[0.1, 0.1], [0.6, 0.1], [0.6, 0.2], [0.1, 0.2]]);
    assert_eq!((passages.len(), &passages[1].place), (2, &on(1, 0.1)));
}

#[test]
fn a_passage_of_a_recording_goes_from_its_first_word_to_its_last() {
    let from = |start: u64| {
        Some(Place::Time {
            start: Duration::from_secs(start),
            end: Duration::from_secs(start + 2),
        })
    };
    let passages = passages(&placed(vec![from(1), from(3), from(5)]), RULES, words);
    let whole = Place::Time {
        start: Duration::from_secs(1),
        end: Duration::from_secs(7),
    };
    assert_eq!(passages[0].place, Some(whole));
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_is_too_long(
        text in "([a-zé]{1,9}[ .\n]|\n\n# [a-z]{1,5}\n\n|[.!?] |- |\n\n){1,300}",
        target in 1_usize..30,
        more in 0_usize..30,
        overlap in 0_usize..40,
    ) {
        let rules = ChunkRules { target, most: target + more, overlap };
        if let Ok(parsed) = parse(Format::Markdown, text.as_bytes(), Limits::default()) {
            let passages = passages(&parsed, rules, words);
            let mut covered = vec![false; parsed.text.len()];
            let mut start = None;
            for passage in &passages {
                prop_assert_eq!(&parsed.text[passage.range.clone()], &passage.text);
                prop_assert!(start.is_none_or(|start| passage.range.start > start), "each begins after the one before");
                start = Some(passage.range.start);
                prop_assert!(passage.tokens as usize <= rules.most.max(1));
                covered[passage.range.clone()].fill(true);
            }
            for block in parsed.blocks.iter().filter(|block| block.kind != BlockKind::Heading) {
                let lost = block.range.clone().filter(|at| !covered[*at]);
                let lost: Vec<u8> = lost.map(|at| parsed.text.as_bytes()[at]).collect();
                prop_assert!(lost.iter().all(u8::is_ascii_whitespace), "{:?}", String::from_utf8_lossy(&lost));
            }
        }
    }
}
