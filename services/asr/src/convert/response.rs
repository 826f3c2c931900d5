//! Results and words on their way to the wire.

use polyphony_proto::asr::v1 as pb;
use polyphony_proto::types::v1 as types;
use polyphony_wire::wire_duration as wire;

use super::request::Shown;
use super::streaming::View;
use crate::domain::{Segment, TimingSource, Transcript, Word};
use crate::session::{self, EndReason, Event, Hypothesis};

/// The results of a recording.
pub(crate) fn results(transcript: Transcript, shown: &Shown) -> Vec<pb::SpeechRecognitionResult> {
    let language_code = transcript.language.unwrap_or_default();
    let result = |segment: Segment| pb::SpeechRecognitionResult {
        alternatives: vec![pb::SpeechRecognitionAlternative {
            transcript: shown.normalization.apply(&segment.text),
            confidence: segment.confidence,
            words: words(segment.words, shown),
        }],
        result_start_offset: Some(wire(segment.start)),
        result_end_offset: Some(wire(segment.end)),
        language_code: language_code.clone(),
        channel_tag: 0,
        avg_log_prob: segment.avg_log_prob,
        no_speech_prob: segment.no_speech_prob,
    };
    transcript.segments.into_iter().map(result).collect()
}

/// An event of a stream; none where the client did not ask for it.
pub(crate) fn event(event: Event, view: &View) -> Option<pb::streaming_recognize_response::Event> {
    use pb::SpeechEventType as Kind;
    use pb::streaming_recognize_response::Event as Wire;
    let speech = |kind: Kind, at| {
        let at = session::time(at);
        Some(Wire::SpeechEvent(pb::SpeechEvent {
            r#type: kind.into(),
            offset: Some(wire(at)),
            time: view.clock.and_then(|clock| clock.at(at)),
        }))
    };
    match event {
        Event::SpeechBegin { at } if view.activity => speech(Kind::SpeechActivityBegin, at),
        Event::SpeechEnd { at } if view.activity => speech(Kind::SpeechActivityEnd, at),
        Event::SpeechBegin { .. } | Event::SpeechEnd { .. } => None,
        // Asked for by `single_utterance`.
        Event::EndOfSingleUtterance { at } => speech(Kind::EndOfSingleUtterance, at),
        Event::Result(result) => Some(Wire::Result(hypothesis(*result, view))),
        Event::Marker(id) => Some(Wire::Marker(types::Marker { id })),
        // Carries a receipt, which the stream has.
        Event::Ended(_) => None,
    }
}

fn hypothesis(result: Hypothesis, view: &View) -> pb::StreamingRecognitionResult {
    let normalization = &view.shown.normalization;
    let transcript = normalization.apply(&result.text);
    let stable = match (result.is_final, normalization.is_empty()) {
        (true, _) => transcript.len(),
        (false, true) => result.stable_len,
        // A replacement may reach from a stable word into one that is not, so nothing is promised.
        (false, false) => 0,
    };
    pb::StreamingRecognitionResult {
        segment_id: result.segment_id,
        revision: result.revision,
        alternatives: vec![pb::SpeechRecognitionAlternative {
            transcript,
            confidence: result.confidence,
            words: words(result.words, &view.shown),
        }],
        is_final: result.is_final,
        stability: result.stability,
        stable_prefix_len: u32::try_from(stable).unwrap_or(u32::MAX),
        result_end_offset: Some(wire(session::time(result.end))),
        language_code: result.language.unwrap_or_default(),
        channel_tag: 0,
        result_start_time: view.clock.and_then(|clock| clock.at(session::time(result.start))),
        eou_probabilities: Vec::new(),
    }
}

/// The end of a stream.
pub(crate) const fn end_reason(reason: EndReason) -> pb::EndReason {
    match reason {
        EndReason::Closed => pb::EndReason::ClientClosed,
        EndReason::SingleUtterance => pb::EndReason::SingleUtterance,
        EndReason::SpeechStartTimeout => pb::EndReason::SpeechStartTimeout,
        EndReason::SpeechEndTimeout => pb::EndReason::SpeechEndTimeout,
    }
}

fn words(words: Vec<Word>, shown: &Shown) -> Vec<pb::WordInfo> {
    if !shown.word_times && !shown.word_confidence {
        return Vec::new();
    }
    let info = |word: Word| pb::WordInfo {
        word: word.text,
        start_offset: shown.word_times.then(|| wire(word.start)),
        end_offset: shown.word_times.then(|| wire(word.end)),
        confidence: word.confidence.filter(|_| shown.word_confidence),
        log_prob: word.log_prob.filter(|_| shown.word_confidence),
        timing_source: if shown.word_times {
            timing(word.timing)
        } else {
            types::TimingSource::Unspecified
        }
        .into(),
        speaker_label: String::new(),
    };
    words.into_iter().map(info).collect()
}

const fn timing(source: TimingSource) -> types::TimingSource {
    match source {
        TimingSource::Model => types::TimingSource::Model,
        TimingSource::Aligned => types::TimingSource::Aligned,
        TimingSource::Interpolated => types::TimingSource::Interpolated,
    }
}
