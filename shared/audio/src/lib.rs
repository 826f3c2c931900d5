//! PCM, decode, resample, features, voice activity.
