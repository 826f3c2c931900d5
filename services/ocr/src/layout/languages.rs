//! Languages, as far as scripts show them.

use crate::domain::{Language, Line};

/// What the letters of a page are, the commonest first. A script that many languages share is told as such: Latin
/// letters are `und-Latn`, because nothing here knows Dutch from English.
pub(super) fn languages(lines: &[Line]) -> Vec<Language> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    let letters = lines.iter().flat_map(|line| line.text.chars()).filter_map(script);
    for code in letters {
        match counts.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => counts.push((code, 1)),
        }
    }
    // Japanese is written with Chinese characters too.
    if let Some(kana) = counts.iter().position(|(code, _)| *code == "ja")
        && let Some(han) = counts.iter().position(|(code, _)| *code == "zh")
        && counts[kana].1 * 10 >= counts[han].1
    {
        counts[kana].1 += counts[han].1;
        counts.remove(han);
    }
    let all: usize = counts.iter().map(|(_, count)| count).sum();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
        .into_iter()
        .map(|(code, count)| Language {
            code: code.to_owned(),
            confidence: count as f32 / all as f32,
        })
        .collect()
}

fn script(letter: char) -> Option<&'static str> {
    match letter {
        'A'..='Z' | 'a'..='z' | '\u{c0}'..='\u{24f}' => Some("und-Latn"),
        '\u{370}'..='\u{3ff}' => Some("el"),
        '\u{400}'..='\u{52f}' => Some("und-Cyrl"),
        '\u{590}'..='\u{5ff}' => Some("und-Hebr"),
        '\u{600}'..='\u{6ff}' => Some("und-Arab"),
        '\u{900}'..='\u{97f}' => Some("und-Deva"),
        '\u{e00}'..='\u{e7f}' => Some("th"),
        '\u{3040}'..='\u{30ff}' => Some("ja"),
        '\u{ac00}'..='\u{d7af}' | '\u{1100}'..='\u{11ff}' => Some("ko"),
        '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' => Some("zh"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<(String, f32)> {
        let line = Line {
            text: text.to_owned(),
            ..Line::default()
        };
        languages(&[line])
            .into_iter()
            .map(|language| (language.code, language.confidence))
            .collect()
    }

    #[test]
    fn scripts_are_counted_and_kana_make_japanese() {
        assert_eq!(
            of("网络abc 1"),
            [("und-Latn".to_owned(), 0.6), ("zh".to_owned(), 0.4)]
        );
        assert_eq!(of("日本語の本"), [("ja".to_owned(), 1.0)]);
        assert!(of("12.50 -").is_empty());
    }
}
