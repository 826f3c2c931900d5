//! What a segmentation model says about itself: its window, its frames, and which people each class stands for.
//!
//! Exports of sherpa-onnx write it into the graph's metadata. A graph without any, as those of transformers.js, is taken
//! for pyannote's segmentation-3.0, whose numbers are the defaults here; whether they are right shows in the shape of
//! what it gives.

use polyphony_inference::ort::session::Session;

use crate::domain::SAMPLE_RATE;

/// The numbers of a segmentation model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Samples of a window.
    pub window: usize,
    /// Samples from one window to the next.
    pub step: usize,
    /// Samples that a frame is made of.
    pub field: usize,
    /// Samples from one frame to the next.
    pub shift: usize,
    /// Frames of a window.
    pub frames: usize,
    /// People that are told apart within a window, at most 8.
    pub speakers: usize,
    /// The people of each class of the powerset, a bit each.
    pub classes: Vec<u8>,
}

/// Windows overlap by nine tenths unless the model says otherwise, as in pyannote's pipeline.
const STEPS: usize = 10;
/// Windows that begin nearer to one another would be far more than anything is gained by: 10 ms.
const LEAST_STEP: usize = 160;

// === impl Layout ===

impl Layout {
    /// segmentation-3.0: 10 s, frames of 62 ms every 17 ms, three people of whom two speak at once.
    pub fn segmentation_3() -> Self {
        let (window, field, shift) = (160_000, 991, 270);
        Self {
            window,
            step: window / STEPS,
            field,
            shift,
            frames: (window - field) / shift + 1,
            speakers: 3,
            classes: powerset(3, 2),
        }
    }

    /// Reads it from the metadata of a graph.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn of(session: &Session) -> Result<Self, String> {
        let metadata = session.metadata().map_err(|error| error.to_string())?;
        Self::read(|key| metadata.custom(key))
    }

    /// Reads it from keys and values.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(value: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let known = Self::segmentation_3();
        let number = |key: &str, default: usize, most: usize| match value(key) {
            None => Ok(default),
            Some(text) => match text.trim().parse() {
                Ok(number) if (1..=most).contains(&number) => Ok(number),
                _ => Err(format!("{key} is {text:?} in its metadata, expected 1 to {most}")),
            },
        };
        let rate = number("sample_rate", SAMPLE_RATE as usize, 1_000_000)?;
        if rate != SAMPLE_RATE as usize {
            return Err(format!(
                "it hears {rate} samples a second, expected {SAMPLE_RATE}"
            ));
        }
        let window = number("window_size", known.window, 60 * SAMPLE_RATE as usize)?;
        let step = number("window_shift", (window / STEPS).max(1), window)?;
        if step < LEAST_STEP.min(window) {
            return Err(format!(
                "window_shift is {step} in its metadata, expected {LEAST_STEP} or more"
            ));
        }
        let field = number("receptive_field_size", known.field, window)?;
        let shift = number("receptive_field_shift", known.shift, window)?;
        let speakers = number("num_speakers", known.speakers, 8)?;
        let at_once = number("powerset_max_classes", 2, speakers)?;
        let classes = powerset(speakers, at_once);
        let told = number("num_classes", classes.len(), 256)?;
        if told != classes.len() {
            return Err(format!(
                "{told} classes cannot stand for {speakers} people of whom {at_once} speak at once; expected {}",
                classes.len()
            ));
        }
        Ok(Self {
            window,
            step,
            field,
            shift,
            frames: (window - field) / shift + 1,
            speakers,
            classes,
        })
    }

    /// Where windows of a recording begin. The last one may reach beyond the end.
    pub fn starts(&self, samples: usize) -> impl ExactSizeIterator<Item = usize> {
        let beyond = samples.saturating_sub(self.window);
        let count = if samples == 0 {
            0
        } else {
            beyond.div_ceil(self.step) + 1
        };
        let step = self.step;
        (0..count).map(move |window| window * step)
    }

    /// The frame of the recording that the first frame of a window falls on.
    pub fn first_frame(&self, start: usize) -> usize {
        (start + self.shift / 2) / self.shift
    }

    /// The sample at which a frame of the recording is taken to begin: its middle, as in pyannote.
    pub fn edge(&self, frame: usize) -> u64 {
        (frame * self.shift + self.field / 2) as u64
    }
}

/// The sets of at most `at_once` of `speakers` people, the smaller first, each in the order of its people.
fn powerset(speakers: usize, at_once: usize) -> Vec<u8> {
    let mut sets: Vec<u8> = (0..1_u16 << speakers)
        .map(|set| set as u8)
        .filter(|set| set.count_ones() as usize <= at_once)
        .collect();
    // Among sets of one size, the one with the first person comes first.
    sets.sort_by_key(|set| (set.count_ones(), std::cmp::Reverse(set.reverse_bits())));
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_nobody_then_each_then_each_pair() {
        assert_eq!(powerset(3, 2), [0, 0b001, 0b010, 0b100, 0b011, 0b101, 0b110]);
        assert_eq!(
            powerset(4, 2)[5..],
            [0b0011, 0b0101, 0b1001, 0b0110, 0b1010, 0b1100]
        );
        assert_eq!(powerset(8, 1).len(), 9);
    }

    #[test]
    fn without_metadata_it_is_segmentation_3() {
        let layout = Layout::read(|_| None).expect("the defaults");
        assert_eq!(layout, Layout::segmentation_3());
        assert_eq!(
            (layout.frames, layout.step, layout.edge(0), layout.edge(1)),
            (589, 16_000, 495, 765)
        );
    }

    #[test]
    fn windows_reach_the_end_and_the_last_may_pass_it() {
        let layout = Layout::segmentation_3();
        for (samples, last) in [
            (1, 0),
            (160_000, 0),
            (160_001, 16_000),
            (176_000, 16_000),
            (176_001, 32_000),
        ] {
            assert_eq!(layout.starts(samples).last(), Some(last), "{samples}");
        }
        assert_eq!(layout.starts(0).len(), 0);
    }

    #[test]
    fn metadata_that_cannot_be_is_refused() {
        for (key, value) in [
            ("sample_rate", "8000"),
            ("num_classes", "8"),
            ("num_speakers", "0"),
            ("receptive_field_shift", "x"),
            ("window_shift", "160001"),
        ] {
            let said = Layout::read(|asked| (asked == key).then(|| value.to_owned()));
            assert!(said.is_err(), "{key} {value}: {said:?}");
        }
    }
}
