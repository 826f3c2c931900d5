//! Stretches of speech between words, from what each frame seems to be.

use std::ops::Range;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// Of a word.
    Word,
    /// Of no word, and no speech.
    Quiet,
    /// Of no word, and speech.
    Speech,
}

/// What counts as a stretch, in frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Least {
    /// Quiet that does not end one.
    pub(super) bridge: usize,
    /// Frames of speech in it.
    pub(super) speech: usize,
    /// From its first to its last.
    pub(super) length: usize,
}

/// The stretches of speech between words.
pub(super) fn stretches(frames: impl Iterator<Item = Frame>, least: Least) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    // The stretch that is open, and its frames of speech.
    let mut open: Option<(Range<usize>, usize)> = None;
    let mut close = |open: &mut Option<(Range<usize>, usize)>| {
        if let Some((range, speech)) = open.take()
            && speech >= least.speech
            && range.len() >= least.length
        {
            found.push(range);
        }
    };
    for (at, frame) in frames.enumerate() {
        match (&mut open, frame) {
            (Some((range, speech)), Frame::Speech) => {
                range.end = at + 1;
                *speech += 1;
            }
            (None, Frame::Speech) => open = Some((at..at + 1, 1)),
            (Some((range, _)), Frame::Quiet) if at - range.end < least.bridge => {}
            (_, Frame::Word | Frame::Quiet) => close(&mut open),
        }
    }
    close(&mut open);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_pauses_do_not_end_a_stretch_and_words_do() {
        let frames = |text: &str| {
            let frames: Vec<Frame> = text
                .chars()
                .map(|letter| match letter {
                    's' => Frame::Speech,
                    'w' => Frame::Word,
                    _ => Frame::Quiet,
                })
                .collect();
            frames.into_iter()
        };
        let least = Least {
            bridge: 2,
            speech: 3,
            length: 4,
        };
        let found = |text: &str| stretches(frames(text), least).pop();
        assert_eq!(found("..ss.s.."), Some(2..6));
        assert_eq!(found("ss...ssss"), Some(5..9));
        assert_eq!(found("sswss"), None);
        assert_eq!(found("sss"), None);
    }
}
