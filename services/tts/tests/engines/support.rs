//! What the tests of all engines share.

use std::path::PathBuf;

use polyphony_tts::Error;
use polyphony_tts::domain::{Cancel, Item, Piece, Prosody, Script, Utterance};
use polyphony_tts::engine::Engine;

/// All that came out of an utterance.
#[derive(Debug, Default)]
pub(crate) struct Spoken {
    pub(crate) samples: Vec<f32>,
    pub(crate) pieces: Vec<Piece>,
}

/// The wheels that `make setup` installs.
pub(crate) fn wheels() -> PathBuf {
    let home = polyphony_config::data_dir(|name| std::env::var_os(name));
    home.expect("a home folder").join("wheels")
}

pub(crate) fn speak(engine: &dyn Engine, utterance: &Utterance) -> Result<Spoken, Error> {
    let mut spoken = Spoken::default();
    engine.speak(utterance, &Cancel::default(), &mut |piece| {
        spoken.samples.extend_from_slice(&piece.samples);
        spoken.pieces.push(piece);
    })?;
    Ok(spoken)
}

/// A text with the times of words and phones.
pub(crate) fn timed(voice: &str, text: &str) -> Utterance {
    Utterance {
        word_times: true,
        phone_times: true,
        ..Utterance::new(voice, Script::plain(text, 0))
    }
}

pub(crate) fn say(text: &str, prosody: Prosody) -> Item {
    Item::Say(Script::plain(text, 0), prosody)
}

impl Spoken {
    pub(crate) fn words(&self) -> Vec<&str> {
        let words = self.pieces.iter().flat_map(|piece| &piece.words);
        words.map(|word| word.text.as_str()).collect()
    }

    /// Seconds at a rate.
    pub(crate) fn seconds(&self, rate: u32) -> f32 {
        self.samples.len() as f32 / rate as f32
    }

    /// What must hold for all speech: times in order, within the audio, each word with the audio it begins in.
    pub(crate) fn assert_sound(&self, rate: u32) {
        let seconds = |samples: usize| samples as f64 / f64::from(rate);
        let (mut clock, mut last) = (0, 0.0);
        for piece in &self.pieces {
            let begin = seconds(clock);
            clock += piece.samples.len();
            for word in &piece.words {
                let (start, end) = (word.start.as_secs_f64(), word.end.as_secs_f64());
                assert!(start >= last - 1e-6 && start <= end, "{word:?} after {last}");
                assert!(
                    start >= begin - 1e-6 && start <= seconds(clock),
                    "{word:?} in {begin}"
                );
                assert!(end <= seconds(self.samples.len()) + 1e-6, "{word:?}");
                assert!(
                    word.phones
                        .iter()
                        .all(|phone| phone.start <= phone.end && phone.start >= word.start),
                    "{word:?}"
                );
                last = start;
            }
        }
        assert!(self.samples.iter().all(|sample| sample.is_finite()));
    }
}
