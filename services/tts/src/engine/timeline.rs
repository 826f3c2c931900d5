//! From symbols to the times of words, phones and pauses: for models that say, or of which it is known, how long each of
//! their ids is.

use std::ops::Range;

use super::delivery::{TimedWord, Timeline};
use super::phonemes::{Spoken, Symbol, is_letter, is_mark};

/// When words and phones are heard, and where the pauses are. `symbols` have ids in these places, and each id ends at the
/// sample that `ends` says.
pub(super) fn of(
    symbols: &[(Symbol, Range<usize>)],
    spoken: &Spoken,
    ends: &[usize],
    times: bool,
) -> Timeline {
    let heard = |ids: &Range<usize>| {
        let begin = ids
            .start
            .checked_sub(1)
            .and_then(|before| ends.get(before))
            .copied()
            .unwrap_or(0);
        let end = ids
            .end
            .checked_sub(1)
            .and_then(|last| ends.get(last))
            .copied()
            .unwrap_or(begin);
        begin..end.max(begin)
    };
    let mut timeline = Timeline::default();
    let mut phones: Vec<(usize, Range<usize>)> = Vec::new();
    for (symbol, ids) in symbols.iter().filter(|_| times) {
        let Some(phone) = symbol.phone else { continue };
        let time = heard(ids);
        match phones.last_mut().filter(|(last, _)| *last == phone) {
            Some((_, known)) => known.end = time.end,
            None => phones.push((phone, time)),
        }
    }
    for (phone, time) in phones {
        let Some((name, Some(word))) = spoken.phones.get(phone) else {
            continue;
        };
        let Some(range) = spoken.words.get(*word) else {
            continue;
        };
        match timeline.words.last_mut().filter(|last| last.range == *range) {
            Some(last) => {
                last.time.end = time.end;
                last.phones.push((name.clone(), time));
            }
            None => timeline.words.push(TimedWord {
                range: range.clone(),
                time: time.clone(),
                phones: vec![(name.clone(), time)],
            }),
        }
    }
    // Between two words there is none, unless punctuation is.
    let mut pauses: Vec<(Range<usize>, bool)> = Vec::new();
    for (symbol, ids) in symbols.iter().filter(|(symbol, _)| !is_letter(symbol.character)) {
        let (time, marked) = (heard(ids), is_mark(symbol.character));
        match pauses.last_mut().filter(|(last, _)| last.end == time.start) {
            Some((last, known)) => (last.end, *known) = (time.end, *known || marked),
            None => pauses.push((time, marked)),
        }
    }
    let marked = pauses
        .into_iter()
        .filter(|(time, marked)| *marked && !time.is_empty());
    timeline.pauses = marked.map(|(time, _)| time).collect();
    timeline
}
