use super::*;
use crate::document::Rect;

/// Glyphs of half a height each, from a point in a direction, with `apart` heights between them.
fn spell(text: &str, [x, y]: [f32; 2], degrees: f32, em: f32, apart: f32) -> Vec<Glyph> {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let step = em * (0.5 + apart);
    let glyph = |(at, character): (usize, char)| Glyph {
        text: character.to_string(),
        origin: [
            (at as f32 * step).mul_add(cos, x),
            (at as f32 * step).mul_add(sin, y),
        ],
        advance: [0.5 * em * cos, 0.5 * em * sin],
        em,
        ink: None,
    };
    text.chars().enumerate().map(glyph).collect()
}

fn page(glyphs: Vec<Glyph>) -> NativeText {
    NativeText {
        glyphs,
        pictures: Vec::new(),
    }
}

fn texts(glyphs: Vec<Glyph>) -> Vec<String> {
    lines(&page(glyphs), false)
        .into_iter()
        .map(|line| line.text)
        .collect()
}

#[test]
fn spaces_and_gaps_part_words() {
    assert_eq!(
        texts(spell("two words", [10.0, 100.0], 0.0, 10.0, 0.0)),
        ["two words"]
    );
    let mut gap = spell("two", [10.0, 100.0], 0.0, 10.0, 0.0);
    gap.extend(spell("words", [28.0, 100.0], 0.0, 10.0, 0.0));
    assert_eq!(texts(gap), ["two words"]);
    assert_eq!(texts(spell("spread", [10.0, 100.0], 0.0, 10.0, 0.3)), ["spread"]);
}

#[test]
fn a_wide_gap_or_another_baseline_begins_a_line() {
    let mut glyphs = spell("left", [10.0, 100.0], 0.0, 10.0, 0.0);
    glyphs.extend(spell("right", [200.0, 100.0], 0.0, 10.0, 0.0));
    glyphs.extend(spell("below", [10.0, 112.0], 0.0, 10.0, 0.0));
    assert_eq!(texts(glyphs), ["left", "right", "below"]);
}

#[test]
fn the_order_of_the_file_does_not_matter() {
    let mut glyphs = spell("world", [40.0, 100.0], 0.0, 10.0, 0.0);
    glyphs.extend(spell("brave", [10.0, 100.0], 0.0, 10.0, 0.0));
    assert_eq!(texts(glyphs), ["brave world"]);
}

#[test]
fn raised_characters_stay_in_their_line() {
    let mut glyphs = spell("E=mc", [10.0, 100.0], 0.0, 10.0, 0.0);
    glyphs.extend(spell("2", [30.0, 96.5], 0.0, 6.0, 0.0));
    assert_eq!(texts(glyphs), ["E=mc2"]);
}

#[test]
fn what_is_printed_twice_is_read_once() {
    let mut glyphs = spell("bold", [10.0, 100.0], 0.0, 10.0, 0.0);
    glyphs.extend(spell("bold", [10.3, 100.0], 0.0, 10.0, 0.0));
    assert_eq!(texts(glyphs), ["bold"]);
}

#[test]
fn a_ligature_is_letters() {
    let mut glyphs = spell("o", [10.0, 100.0], 0.0, 10.0, 0.0);
    glyphs.extend(spell("\u{FB03}", [15.0, 100.0], 0.0, 10.0, 0.0));
    glyphs.extend(spell("ce", [20.0, 100.0], 0.0, 10.0, 0.0));
    let lines = lines(&page(glyphs), true);
    assert_eq!(lines[0].text, "office");
    let symbols: Vec<&str> = lines[0].words[0]
        .symbols
        .iter()
        .map(|symbol| symbol.text.as_str())
        .collect();
    assert_eq!(symbols, ["o", "f", "f", "i", "c", "e"]);
    assert_eq!(lines[0].words[0].symbols[5].range, 5..6);
}

#[test]
fn places_are_those_of_the_page() {
    let lines = lines(&page(spell("ab cd", [10.0, 100.0], 0.0, 10.0, 0.0)), false);
    let line = &lines[0];
    let Quad([a, b, c, _]) = line.outline;
    assert!((a.x - 10.0).abs() < 0.01 && (b.x - 35.0).abs() < 0.01, "{line:?}");
    assert!(
        (a.y - 92.2).abs() < 0.01 && (c.y - 102.2).abs() < 0.01,
        "{line:?}"
    );
    assert_eq!(line.words[1].range, 3..5);
    assert!((line.words[1].outline.0[0].x - 25.0).abs() < 0.01);
}

#[test]
fn text_on_its_side_is_turned_upright() {
    let mut text = page(spell("downwards", [50.0, 10.0], 90.0, 10.0, 0.0));
    text.pictures.push(Rect {
        left: 0.0,
        top: 0.0,
        right: 10.0,
        bottom: 20.0,
    });
    assert_eq!(turn(&text), Rotation::ThreeQuarters);
    let text = turned(text, Rotation::ThreeQuarters, (100.0, 200.0));
    assert_eq!(turn(&text), Rotation::None);
    assert_eq!(text.glyphs[0].origin, [10.0, 50.0]);
    assert_eq!(
        text.pictures[0],
        Rect {
            left: 0.0,
            top: 90.0,
            right: 20.0,
            bottom: 100.0
        }
    );
    assert_eq!(lines(&text, false)[0].text, "downwards");
    let back = turned(
        turned(text.clone(), Rotation::Quarter, (200.0, 100.0)),
        Rotation::ThreeQuarters,
        (100.0, 200.0),
    );
    assert_eq!(back, text);
}

#[test]
fn what_is_written_from_right_to_left_is_read_so() {
    // As the file has it: from left to right on paper.
    let shown: String = "שלום 12 עולם".chars().rev().collect();
    let shown = shown.replace("21", "12");
    assert_eq!(
        texts(spell(&shown, [10.0, 100.0], 0.0, 10.0, 0.0)),
        ["שלום 12 עולם"]
    );
}

#[test]
fn chinese_needs_no_spaces() {
    let mut glyphs = spell("中文", [10.0, 100.0], 0.0, 10.0, 0.0);
    glyphs.extend(spell("版本", [22.0, 100.0], 0.0, 10.0, 0.0));
    glyphs.extend(spell("PDF", [36.0, 100.0], 0.0, 10.0, 0.0));
    assert_eq!(texts(glyphs), ["中文版本 PDF"]);
}

#[test]
fn slanted_text_is_one_line() {
    let lines = lines(
        &page(spell("slanted text", [10.0, 100.0], -7.0, 10.0, 0.0)),
        false,
    );
    assert_eq!(lines.len(), 1);
    assert!((lines[0].angle_degrees + 7.0).abs() < 0.01);
}

#[test]
fn numbers_that_are_none_do_no_harm() {
    let mut glyphs = spell("fine", [10.0, 100.0], 0.0, 10.0, 0.0);
    let mut bad = glyphs[0].clone();
    bad.origin[0] = f32::NAN;
    glyphs.insert(0, bad.clone());
    bad.origin[0] = f32::INFINITY;
    glyphs.push(bad);
    assert_eq!(texts(glyphs), ["fine"]);
}
