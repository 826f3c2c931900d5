//! Frames to H.264.

use openh264::encoder::{
    Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, RateControlMode, UsageType,
    VuiConfig,
};
use openh264::{OpenH264API, Timestamp};

use super::Frames;
use super::planes::Planes;
use crate::error::{Error, Result};

/// H.264, as MP4 holds it.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The parameters of the sequence, and of pictures.
    pub(super) sps: Vec<u8>,
    pub(super) pps: Vec<u8>,
    /// The frames.
    pub(super) samples: Vec<Sample>,
}

/// A frame.
#[derive(Debug)]
pub(super) struct Sample {
    /// Its units, each behind its length in four bytes.
    pub(super) bytes: Vec<u8>,
    /// It can be begun with.
    pub(super) is_key: bool,
}

/// Kinds of units.
const SPS: u8 = 7;
const PPS: u8 = 8;

pub(super) fn encode(
    frames: &Frames,
    frame_rate: f32,
    go_on: &mut dyn FnMut() -> Result<()>,
) -> Result<Stream> {
    let failed = |error: openh264::Error| Error::Encoding(error.to_string());
    let (width, height) = (frames.width as usize, frames.height as usize);
    let config = EncoderConfig::new()
        .usage_type(UsageType::CameraVideoRealTime)
        // The same quantiser for all: a picture is as good as any other, whatever that takes.
        .rate_control_mode(RateControlMode::Off)
        .max_frame_rate(FrameRate::from_hz(frame_rate))
        .complexity(Complexity::High)
        .skip_frames(false)
        .scene_change_detect(false)
        // A second can be sought to; 16 frames are one of Wan's.
        .intra_frame_period(IntraFramePeriod::from_num_frames(16))
        .vui(VuiConfig::bt709())
        // The same bytes on every machine.
        .num_threads(1);
    let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config).map_err(failed)?;
    let mut planes = Planes::new(width, height);
    let mut stream = Stream::default();
    for (index, picture) in frames.pictures().enumerate() {
        go_on()?;
        planes.fill(picture);
        let time = Timestamp::from_millis((index as f64 * 1000.0 / f64::from(frame_rate)) as u64);
        let encoded = encoder.encode_at(&planes, time).map_err(failed)?;
        let is_key = match encoded.frame_type() {
            FrameType::IDR => true,
            FrameType::I | FrameType::P | FrameType::IPMixed => false,
            FrameType::Skip | FrameType::Invalid => {
                return Err(Error::Encoding(format!("frame {index} was not encoded")));
            }
        };
        let mut bytes = Vec::new();
        for layer in (0..encoded.num_layers()).filter_map(|layer| encoded.layer(layer)) {
            for unit in (0..layer.nal_count()).filter_map(|unit| layer.nal_unit(unit)) {
                stream.take(unit, &mut bytes);
            }
        }
        stream.samples.push(Sample { bytes, is_key });
    }
    if stream.sps.is_empty() || stream.pps.is_empty() {
        return Err(Error::Encoding("the stream has no parameters".into()));
    }
    Ok(stream)
}

// === impl Stream ===

impl Stream {
    /// Takes a unit as the encoder writes it, behind its start code. Parameters stand in MP4's own place, the same for all
    /// frames; the rest is the frame's.
    fn take(&mut self, unit: &[u8], sample: &mut Vec<u8>) {
        let begin = unit.iter().position(|byte| *byte == 1).map_or(0, |at| at + 1);
        let unit = &unit[begin..];
        match unit.first().map(|header| header & 0x1F) {
            Some(SPS) => self.sps = unit.to_vec(),
            Some(PPS) => self.pps = unit.to_vec(),
            Some(_) => {
                let length = u32::try_from(unit.len()).unwrap_or(u32::MAX);
                sample.extend_from_slice(&length.to_be_bytes());
                sample.extend_from_slice(unit);
            }
            None => {}
        }
    }
}
