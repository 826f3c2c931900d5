//! The word by which a model says that its sources do not answer the question, found before anybody reads it.

/// Holds the beginning of an answer back until it is clear whether it is the word.
#[derive(Debug, Default)]
pub struct Refusal {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// What came so far is a beginning of the word.
    Open(String),
    /// It is an answer.
    #[default]
    Begin,
    Answer,
    /// It is the word; what follows explains it at best.
    Refused,
}

/// The word. The prompt asks for it.
pub const WORD: &str = "NOT_ANSWERABLE";

// === impl Refusal ===

impl Refusal {
    /// The words that are certain to be an answer after this piece.
    pub fn push(&mut self, piece: &str) -> String {
        let held = match &mut self.state {
            State::Begin => piece.to_owned(),
            State::Open(held) => std::mem::take(held) + piece,
            State::Answer => return piece.to_owned(),
            State::Refused => return String::new(),
        };
        // Models like to quote it, or to set it in bold.
        let begins =
            held.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '"' | '`' | '\''));
        if begins.starts_with(WORD) {
            self.state = State::Refused;
            return String::new();
        }
        if WORD.starts_with(begins) {
            self.state = State::Open(held);
            return String::new();
        }
        self.state = State::Answer;
        held
    }

    /// What was held back and is an answer after all; none where the model refused.
    pub fn finish(self) -> Option<String> {
        match self.state {
            State::Refused => None,
            State::Open(held) => Some(held),
            State::Begin | State::Answer => Some(String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_found_however_it_comes() {
        for pieces in [
            &["NOT_ANSWERABLE"][..],
            &["NOT", "_ANSWER", "ABLE", ". The sources say nothing."],
            &["\n **", "NOT_ANSWERABLE**"],
        ] {
            let mut refusal = Refusal::default();
            let said: String = pieces.iter().map(|piece| refusal.push(piece)).collect();
            assert_eq!((said.as_str(), refusal.finish()), ("", None), "{pieces:?}");
        }
    }

    #[test]
    fn an_answer_loses_nothing() {
        for pieces in [
            &["NOT", "HING is known."][..],
            &["NO"],
            &[""],
            &["  ", "It flies.", " NOT_ANSWERABLE"],
        ] {
            let mut refusal = Refusal::default();
            let said: String = pieces.iter().map(|piece| refusal.push(piece)).collect();
            let rest = refusal.finish().expect("an answer");
            assert_eq!(said + &rest, pieces.concat());
        }
    }
}
