//! The nouns of pitch and separation: plain data, known to engines and adapters alike.
//!
//! What a caller may ask for is checked here once, so that no engine sees a number out of its range. What depends on a
//! model (its stems, its longest segment) is checked by the engine that knows it.

use std::time::Duration;

use polyphony_error::Fault;

/// Samples a second of all audio that a pitch engine sees; it is mono.
pub const PITCH_RATE: u32 = 16_000;

/// How to find the pitch: what the caller asked for, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct PitchOptions {
    /// From one frame to the next, 1 ms to 100 ms. Frames lie on the sample nearest to each multiple of it.
    pub hop: Duration,
    /// The lowest pitch, in hertz, 32 to 1,975.
    pub min_frequency_hz: f32,
    /// The highest pitch, in hertz, 32 to 1,975, above the lowest.
    pub max_frequency_hz: f32,
    /// How frames are joined to a line.
    pub decoder: PitchDecoder,
    /// Frames less periodic than this are unvoiced, 0 to 1.
    pub voicing_threshold: f32,
    /// Frames quieter than this are unvoiced, -100 to 0 dB, A-weighted; a tone of 1 kHz at full scale has 0 dB.
    pub silence_threshold_db: f32,
}

/// How frames are joined to a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PitchDecoder {
    /// The likeliest line as a whole. In a stream it looks 500 ms ahead.
    #[default]
    Viterbi,
    /// The likeliest pitch of each frame, averaged with its neighbours.
    WeightedArgmax,
    /// The likeliest pitch of each frame.
    Argmax,
}

/// Pitch over time, as columns of one length: frame `i` is at `start + i * hop`, its middle.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PitchTrack {
    /// The middle of the first frame.
    pub start: Duration,
    /// From one frame to the next.
    pub hop: Duration,
    /// The pitch in hertz; 0 where it is unvoiced.
    pub frequency_hz: Vec<f32>,
    /// How periodic it is, 0 to 1; 0 where it is silent.
    pub periodicity: Vec<f32>,
}

/// How to take a mix apart: what the caller asked for, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct SeparationOptions {
    /// The stems to give. Empty: all of the model's.
    pub stems: Vec<String>,
    /// For one stem in `stems`: give all the rest as the stem "no_" and its name.
    pub include_rest: bool,
    /// How much segments overlap, 0 to 0.9 of their length.
    pub overlap: f32,
    /// Averages over so many random shifts, 0 to 10. With 0 nothing is shifted and nothing is random.
    pub shifts: u32,
    /// Makes the shifts repeatable. None: they differ each time.
    pub seed: Option<u64>,
    /// The length of a segment. None: the model's, which is also the longest.
    pub segment: Option<Duration>,
}

/// What a separation will give: the options after a model has had its say.
#[derive(Debug, Clone, PartialEq)]
pub struct SeparationPlan {
    /// The stems that will come, in the order in which blocks carry them.
    pub stems: Vec<String>,
    /// Channels of the stems, whatever the mix has.
    pub channels: u32,
    /// The options with every default filled in: stems, segment and seed are set.
    pub options: SeparationOptions,
}

/// The next piece of every stem.
#[derive(Debug, Clone, PartialEq)]
pub struct StemBlock {
    /// Where it begins in the mix, in frames of the mix's rate. Blocks follow one another without a gap.
    pub start: u64,
    /// The samples of each stem of [`SeparationPlan::stems`], interleaved, at the mix's rate; all of one length.
    pub stems: Vec<Vec<f32>>,
}

const HOP: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));
const FREQUENCY: (f32, f32) = (32.0, 1_975.0);
const SILENCE: (f32, f32) = (-100.0, 0.0);
const OVERLAP: (f32, f32) = (0.0, 0.9);
const MOST_SHIFTS: u32 = 10;
/// No model has more; it bounds what a refusal quotes.
const MOST_STEMS: usize = 16;

// === impl PitchOptions ===

impl Default for PitchOptions {
    fn default() -> Self {
        Self {
            hop: Duration::from_millis(10),
            min_frequency_hz: 50.0,
            max_frequency_hz: 1_100.0,
            decoder: PitchDecoder::Viterbi,
            voicing_threshold: 0.21,
            silence_threshold_db: -60.0,
        }
    }
}

impl PitchOptions {
    /// Whether every number is in its range. Fields are named as in the request.
    ///
    /// # Errors
    /// A fault of invalid input for the first that is not.
    pub fn check(&self) -> Result<(), Fault> {
        if self.hop < HOP.0 || self.hop > HOP.1 {
            return Err(Fault::invalid(
                "config.hop_duration",
                format!("{:?} is not within 1 ms to 100 ms", self.hop),
            ));
        }
        within("config.min_frequency_hertz", self.min_frequency_hz, FREQUENCY)?;
        within("config.max_frequency_hertz", self.max_frequency_hz, FREQUENCY)?;
        if self.min_frequency_hz >= self.max_frequency_hz {
            return Err(Fault::invalid(
                "config.min_frequency_hertz",
                format!(
                    "{} is not below max_frequency_hertz, {}",
                    self.min_frequency_hz, self.max_frequency_hz
                ),
            ));
        }
        within("config.voicing_threshold", self.voicing_threshold, (0.0, 1.0))?;
        within("config.silence_threshold_db", self.silence_threshold_db, SILENCE)
    }
}

// === impl PitchTrack ===

impl PitchTrack {
    /// The number of frames.
    pub fn len(&self) -> usize {
        self.frequency_hz.len()
    }

    /// Whether there is no frame.
    pub fn is_empty(&self) -> bool {
        self.frequency_hz.is_empty()
    }

    /// The share of frames with a pitch, 0 to 1; 0 without frames.
    pub fn voiced_ratio(&self) -> f32 {
        if self.is_empty() {
            return 0.0;
        }
        let voiced = self.frequency_hz.iter().filter(|hz| **hz > 0.0).count();
        voiced as f32 / self.len() as f32
    }
}

// === impl SeparationOptions ===

impl Default for SeparationOptions {
    fn default() -> Self {
        Self {
            stems: Vec::new(),
            include_rest: false,
            overlap: 0.25,
            shifts: 1,
            seed: None,
            segment: None,
        }
    }
}

impl SeparationOptions {
    /// Whether every number is in its range, as far as can be told without a model. Fields are named as in the request.
    ///
    /// # Errors
    /// A fault of invalid input for the first that is not.
    pub fn check(&self) -> Result<(), Fault> {
        if self.stems.len() > MOST_STEMS {
            return Err(Fault::invalid(
                "config.stems",
                format!(
                    "{} stems are asked for; no model has more than {MOST_STEMS}",
                    self.stems.len()
                ),
            ));
        }
        if self.include_rest && self.stems.len() != 1 {
            return Err(Fault::invalid(
                "config.include_rest",
                "the rest is what one stem leaves: name exactly one in `stems`",
            ));
        }
        within("config.overlap", self.overlap, OVERLAP)?;
        if self.shifts > MOST_SHIFTS {
            return Err(Fault::invalid(
                "config.shifts",
                format!("{} is not within 0 to {MOST_SHIFTS}", self.shifts),
            ));
        }
        if self.segment.is_some_and(|segment| segment.is_zero()) {
            return Err(Fault::invalid(
                "config.segment_duration",
                "expected more than 0 s",
            ));
        }
        Ok(())
    }
}

// === impl StemBlock ===

impl StemBlock {
    /// Samples of each stem: frames times channels.
    pub fn samples(&self) -> usize {
        self.stems.first().map_or(0, Vec::len)
    }
}

/// NaN is in no range.
fn within(field: &'static str, value: f32, (least, most): (f32, f32)) -> Result<(), Fault> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Fault::invalid(
        field,
        format!("{value} is not within {least} to {most}"),
    ))
}
