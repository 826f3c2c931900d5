//! Counts what comes out of any decoder and refuses it at the limit. One meter per recording or stream.

use std::time::Duration;

use crate::Error;
use crate::limits::Limits;
use crate::pcm::{Pcm, Spec};
use crate::probe::Container;

/// The account of one recording.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) limits: Limits,
    pub(crate) container: Container,
    pub(crate) spec: Option<Spec>,
    /// Frames that the container declares.
    pub(crate) declared: Option<u64>,
    /// Frames that came out.
    pub(crate) frames: u64,
}

// === impl Meter ===

impl Meter {
    pub(crate) const fn new(limits: Limits, container: Container) -> Self {
        Self {
            limits,
            container,
            spec: None,
            declared: None,
            frames: 0,
        }
    }

    /// What a header says, checked before any sample is decoded.
    pub(crate) fn declare(&mut self, rate: u32, channels: u32, frames: Option<u64>) -> Result<Spec, Error> {
        let max = self.limits.max_channels;
        if channels == 0 || channels > max {
            return Err(Error::Channels { found: channels, max });
        }
        let spec = Spec::new(rate, channels)?;
        self.spec = Some(spec);
        self.declared = frames;
        if let Some(frames) = frames {
            self.check_length(spec, frames)?;
        }
        Ok(spec)
    }

    /// Decoded samples, checked before they leave. Rate and channels may not change on the way.
    pub(crate) fn admit(&mut self, rate: u32, channels: u32, samples: Vec<f32>) -> Result<Pcm, Error> {
        let spec = match self.spec {
            Some(spec) if spec.rate.hz() == rate && spec.channels.count() == channels as usize => spec,
            // The codec knows better than the container, as long as nothing has come out yet.
            _ if self.frames == 0 => self.declare(rate, channels, None)?,
            _ => return Err(Error::FormatChanged),
        };
        if samples.iter().any(|sample| !sample.is_finite()) {
            return Err(Error::NotFinite);
        }
        let pcm = Pcm::new(samples, spec);
        self.frames += pcm.frames();
        self.check_length(spec, self.frames)?;
        Ok(pcm)
    }

    /// The length of what came out.
    pub(crate) fn decoded(&self) -> Duration {
        self.spec
            .map_or(Duration::ZERO, |spec| spec.rate.duration(self.frames))
    }

    /// The length that the container declares.
    pub(crate) fn declared(&self) -> Option<Duration> {
        Some(self.spec?.rate.duration(self.declared?))
    }

    /// The error for input that ended too early.
    pub(crate) fn truncated(&self) -> Error {
        Error::Truncated {
            decoded: self.decoded(),
            declared: self.declared().filter(|declared| *declared > self.decoded()),
        }
    }

    /// The error for input that breaks the rules.
    pub(crate) fn corrupt(&self, reason: &'static str) -> Error {
        Error::Corrupt {
            container: self.container,
            reason: reason.into(),
        }
    }

    /// To be asked at the end: something must have come out.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        if self.frames == 0 {
            let container = self.container;
            return Err(Error::NoSamples { container });
        }
        Ok(())
    }

    fn check_length(&self, spec: Spec, frames: u64) -> Result<(), Error> {
        let limit = self.limits.max_duration;
        if spec.rate.duration(frames) > limit {
            return Err(Error::TooLong { limit });
        }
        Ok(())
    }
}
