//! The real program on port 0, and what is sent to it.

use std::path::PathBuf;
use std::time::Duration;

use polyphony_analysis::Analysis;
use polyphony_audio::pcm::{Pcm, SampleRate, Spec};
use polyphony_audio::write::{WavFormat, wav};
use polyphony_chassis::accept::Ended;
use polyphony_chassis::{Readiness, Trigger};
use polyphony_proto::analysis::v1 as pb;
use polyphony_proto::analysis::v1::FeatureKind as Kind;
use polyphony_proto::analysis::v1::analysis_service_client::AnalysisServiceClient;
use polyphony_proto::analysis::v1::analysis_service_server::SERVICE_NAME;
use polyphony_proto::types::v1 as types;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Every feature, in the order of the contract.
pub(crate) const ALL: [Kind; 14] = [
    Kind::Loudness,
    Kind::Tempo,
    Kind::Key,
    Kind::OnsetStrength,
    Kind::Chroma,
    Kind::MelSpectrogram,
    Kind::Mfcc,
    Kind::Rms,
    Kind::ZeroCrossingRate,
    Kind::SpectralCentroid,
    Kind::SpectralBandwidth,
    Kind::SpectralRolloff,
    Kind::SpectralFlatness,
    Kind::SpectralContrast,
];

pub(crate) type Client = AnalysisServiceClient<Channel>;

/// A client is told within this.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// A running program.
pub(crate) struct Served {
    pub(crate) client: Client,
    pub(crate) readiness: Readiness,
    pub(crate) trigger: Trigger,
    pub(crate) ended: JoinHandle<Ended>,
}

/// Serves with these settings, as flags would set them, above those of the environment. Verifications of models are
/// remembered in a folder of the build, not in the user's store.
pub(crate) async fn served(settings: &[&str]) -> Served {
    let mut flags: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
    flags.push("inference.device=cpu".to_owned());
    if !flags.iter().any(|flag| flag.starts_with("models.dir=")) {
        let store = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("served-store");
        flags.push(format!("models.dir={}", store.display()));
    }
    let running = polyphony_harness::program::<Analysis>(SERVICE_NAME, &flags).await;
    let client = AnalysisServiceClient::new(running.channel().await).max_decoding_message_size(64 << 20);
    Served {
        client,
        readiness: running.readiness,
        trigger: running.trigger,
        ended: running.ended,
    }
}

pub(crate) fn inline(bytes: impl Into<Vec<u8>>) -> Option<types::Media> {
    let bytes: Vec<u8> = bytes.into();
    Some(types::Media {
        source: Some(types::media::Source::Inline(bytes.into())),
    })
}

/// A WAV file of interleaved samples.
pub(crate) fn wav_of(samples: Vec<f32>, rate: u32, channels: u32) -> Vec<u8> {
    let spec = Spec::new(rate, channels).expect("valid");
    wav(&Pcm::new(samples, spec), WavFormat::S16).expect("small")
}

/// A sine of one channel at half of full scale.
pub(crate) fn sine(hz: f32, seconds: f32, rate: u32) -> Vec<f32> {
    (0..(seconds * rate as f32) as usize)
        .map(|n| 0.5 * (std::f32::consts::TAU * hz * n as f32 / rate as f32).sin())
        .collect()
}

/// Raw little-endian floats of one channel at 16 kHz.
pub(crate) fn raw(samples: &[f32]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

pub(crate) fn raw_decoding(encoding: types::AudioEncoding) -> Option<types::ExplicitDecoding> {
    Some(types::ExplicitDecoding {
        encoding: encoding.into(),
        sample_rate_hertz: SampleRate::SPEECH.hz(),
        audio_channel_count: 1,
    })
}

pub(crate) fn seconds(duration: Option<prost_types::Duration>) -> f64 {
    let duration = duration.expect("a duration");
    duration.seconds as f64 + f64::from(duration.nanos) / 1e9
}

pub(crate) fn features(kinds: &[pb::FeatureKind]) -> pb::FeaturesConfig {
    pb::FeaturesConfig {
        features: kinds.iter().map(|kind| (*kind).into()).collect(),
        ..Default::default()
    }
}

/// The tiny CREPE, whatever else is on disk.
pub(crate) fn tiny() -> pb::PitchConfig {
    pb::PitchConfig {
        model: "crepe-tiny".to_owned(),
        ..Default::default()
    }
}

impl Served {
    pub(crate) async fn features(
        &self,
        config: pb::FeaturesConfig,
        bytes: Vec<u8>,
    ) -> Result<pb::FeaturesResponse, Status> {
        let request = pb::FeaturesRequest {
            config: Some(config),
            audio: inline(bytes),
        };
        self.client
            .clone()
            .features(request)
            .await
            .map(tonic::Response::into_inner)
    }

    pub(crate) async fn pitch(
        &self,
        config: pb::PitchConfig,
        bytes: Vec<u8>,
    ) -> Result<pb::PitchResponse, Status> {
        let request = pb::PitchRequest {
            config: Some(config),
            audio: inline(bytes),
        };
        self.client
            .clone()
            .pitch(request)
            .await
            .map(tonic::Response::into_inner)
    }
}

/// Collects a stream of replies, and how it ended.
pub(crate) async fn collect<T>(
    replies: Result<tonic::Response<tonic::Streaming<T>>, Status>,
) -> (Vec<T>, Result<(), Status>) {
    let mut seen = Vec::new();
    let mut replies = match replies {
        Ok(replies) => replies.into_inner(),
        Err(status) => return (seen, Err(status)),
    };
    loop {
        match replies.message().await {
            Ok(Some(reply)) => seen.push(reply),
            Ok(None) => return (seen, Ok(())),
            Err(status) => return (seen, Err(status)),
        }
    }
}

/// That a status has this code, this field among its violations, and a reason.
#[track_caller]
pub(crate) fn assert_refused(status: &Status, code: Code, field: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    let details = status.get_error_details();
    assert!(details.error_info().is_some(), "{status:?}");
    let fields: Vec<String> = details
        .bad_request()
        .map(|bad| {
            bad.field_violations
                .iter()
                .map(|violation| violation.field.clone())
                .collect()
        })
        .unwrap_or_default();
    assert!(
        fields.iter().any(|found| found == field),
        "{field} is not among {fields:?}: {status:?}"
    );
}
