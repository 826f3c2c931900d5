//! The codecs that are compiled in, and a name for those that are not.

use std::borrow::Cow;
use std::sync::LazyLock;

use symphonia::core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions, well_known,
};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::Error as Cause;
use symphonia_adapter_libopus::OpusDecoder;

static REGISTRY: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut registry = CodecRegistry::new();
    symphonia::default::register_enabled_codecs(&mut registry);
    registry.register_audio_decoder::<OpusDecoder>();
    registry
});

/// A decoder, or the name of what there is none for.
pub(super) fn decoder(params: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>, Cow<'static, str>> {
    let name = || name(params.codec);
    REGISTRY
        .make_audio_decoder(params, &AudioDecoderOptions::default())
        .map_err(|cause| match cause {
            Cause::Unsupported(what) | Cause::DecodeError(what)
                if what != "core (codec): unsupported audio codec" =>
            {
                format!("{} ({what})", name()).into()
            }
            _ => name(),
        })
}

fn name(codec: AudioCodecId) -> Cow<'static, str> {
    let known = match codec {
        well_known::CODEC_ID_AAC => "AAC",
        well_known::CODEC_ID_AC3 => "AC-3",
        well_known::CODEC_ID_ALAC => "Apple Lossless",
        well_known::CODEC_ID_DCA => "DTS",
        well_known::CODEC_ID_EAC3 => "E-AC-3",
        well_known::CODEC_ID_FLAC => "FLAC",
        well_known::CODEC_ID_MP1 => "MPEG layer I",
        well_known::CODEC_ID_MP2 => "MPEG layer II",
        well_known::CODEC_ID_MP3 => "MPEG layer III",
        well_known::CODEC_ID_OPUS => "Opus",
        well_known::CODEC_ID_SPEEX => "Speex",
        well_known::CODEC_ID_VORBIS => "Vorbis",
        well_known::CODEC_ID_WMA => "Windows Media Audio",
        other => return format!("codec {other}").into(),
    };
    known.into()
}
