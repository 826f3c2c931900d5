//! What these tests share: the program, and a conversation that is spoken by espeak-ng.

use std::path::PathBuf;
use std::sync::LazyLock;

use polyphony_audio::pcm::{Pcm, SampleRate};
use polyphony_audio::resample::Resampler;
use polyphony_audio::write::{WavFormat, wav};
use polyphony_diar::Diar;
use polyphony_espeak::{Espeak, Script, Settings, Speech};
use polyphony_proto::diar::v1::diar_service_client::DiarServiceClient;
use polyphony_proto::diar::v1::diar_service_server::SERVICE_NAME;
use polyphony_proto::types::v1::{Media, media};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Samples a second.
pub(crate) const RATE: usize = 16_000;

/// A program that serves, and its folder.
pub(crate) struct Served {
    pub(crate) client: DiarServiceClient<Channel>,
    _folder: tempfile::TempDir,
}

/// Serves with these settings, as flags would set them; with the embedded engine unless they say otherwise, whatever else
/// is on this machine.
pub(crate) async fn served(settings: &[&str]) -> Served {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = format!("diar.speakers_dir={}", folder.path().display());
    let settings = [&["diar.engine=ge2e", &kept], settings].concat();
    let running = polyphony_harness::program::<Diar>(SERVICE_NAME, &settings).await;
    Served {
        client: DiarServiceClient::new(running.channel().await),
        _folder: folder,
    }
}

/// Two people in turn, about four seconds each, with a pause between.
pub(crate) static CONVERSATION: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let turns = [
        (
            "en-us",
            "The committee will meet on Monday morning to discuss the new budget.",
        ),
        (
            "en-us+f3",
            "I am afraid that I cannot come, my train arrives at eleven o'clock.",
        ),
        (
            "en-us",
            "Then we shall begin with the reports, and leave the figures for later.",
        ),
        (
            "en-us+f3",
            "Thank you, that is very kind, I will bring all the papers with me.",
        ),
    ];
    let mut samples = Vec::new();
    for (voice, text) in turns {
        samples.extend(spoken(voice, text));
        samples.extend(std::iter::repeat_n(0.0, RATE * 2 / 5));
    }
    samples
});

/// A text as speech.
pub(crate) fn spoken(voice: &str, text: &str) -> Vec<f32> {
    let espeak = Espeak::open(&wheels().join("espeakng_loader")).expect("`make setup` installs espeak-ng");
    let (name, variant) = voice.split_once('+').unwrap_or((voice, ""));
    let voice = espeak.voice(name).expect("a voice");
    let voice = if variant.is_empty() {
        voice
    } else {
        voice.with_variant(variant).expect("a variant")
    };
    let script = Script {
        text,
        pronunciations: &[],
    };
    let speech = espeak
        .render(&voice, script, Settings::default(), &|| false)
        .expect("speech");
    let spoken: Vec<f32> = speech
        .samples
        .iter()
        .map(|sample| f32::from(*sample) / 32_768.0)
        .collect();
    let rate = SampleRate::new(Speech::SAMPLE_RATE).expect("a rate");
    let mut resampler = Resampler::new(rate, SampleRate::SPEECH).expect("a resampler");
    let mut samples = Vec::new();
    resampler.push(&spoken, &mut samples).expect("resampled");
    resampler.finish(&mut samples).expect("resampled");
    samples
}

fn wheels() -> PathBuf {
    let data = polyphony_config::data_dir(|name| std::env::var_os(name)).expect("a data folder");
    data.join("wheels")
}

/// Samples as a WAV file in a request.
pub(crate) fn recording(samples: &[f32]) -> Option<Media> {
    let pcm = Pcm::mono(samples.to_vec(), SampleRate::SPEECH);
    inline(wav(&pcm, WavFormat::S16).expect("a file"))
}

pub(crate) fn inline(bytes: Vec<u8>) -> Option<Media> {
    Some(Media {
        source: Some(media::Source::Inline(bytes.into())),
    })
}

/// Refused with this code, naming this field and a reason.
pub(crate) fn assert_refused(status: &Status, code: Code, field: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    let details = status.get_error_details();
    assert!(details.error_info().is_some(), "{status:?}");
    let violations = details.bad_request().map(|bad| bad.field_violations.clone());
    let named = violations
        .unwrap_or_default()
        .iter()
        .any(|violation| violation.field == field && !violation.description.is_empty());
    assert!(named, "{field} is not named: {status:?}");
}

/// Seconds of an offset.
pub(crate) fn seconds(offset: Option<prost_types::Duration>) -> f64 {
    let offset = offset.expect("an offset");
    offset.seconds as f64 + f64::from(offset.nanos) / 1e9
}
