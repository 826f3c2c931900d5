//! Streams that cannot be served.

use super::*;

#[tokio::test]
async fn streams_that_cannot_be_served_end_with_one_status() {
    let served = served(config()).await;
    let beside = bystander(&served).await;
    let none = pb::SynthesisConfig::default;
    let patient = |nanos| {
        first_with(pb::StreamingSynthesisConfig {
            config: None,
            max_buffer_duration: Some(prost_types::Duration { seconds: 0, nanos }),
        })
    };
    let bad = Code::InvalidArgument;
    let cases = [
        ("nothing", vec![], bad, "streaming_config"),
        (
            "input before the config",
            vec![more("Hello.")],
            bad,
            "streaming_config",
        ),
        (
            "no message",
            vec![pb::StreamingSynthesizeRequest { request: None }],
            bad,
            "streaming_config",
        ),
        (
            "a second config",
            vec![first(none()), first(none())],
            bad,
            "streaming_config",
        ),
        (
            "an empty message",
            vec![first(none()), pb::StreamingSynthesizeRequest { request: None }],
            bad,
            "request",
        ),
        (
            "no input",
            vec![
                first(none()),
                request(Request::Input(pb::StreamingSynthesisInput::default())),
            ],
            bad,
            "input",
        ),
        (
            "a whole file",
            vec![first(audio(encoding(Wire::Wav)))],
            bad,
            "streaming_config.config.audio_config.audio_encoding",
        ),
        (
            "too little patience",
            vec![patient(49_000_000)],
            bad,
            "streaming_config.max_buffer_duration",
        ),
        (
            "negative patience",
            vec![patient(-1)],
            bad,
            "streaming_config.max_buffer_duration",
        ),
        (
            "too long",
            vec![first(none()), more("a ".repeat(2_501))],
            Code::ResourceExhausted,
            "input.text",
        ),
        ("NUL", vec![first(none()), more("\0")], bad, "input.text"),
        (
            "SSML",
            vec![first(none()), input(More::Ssml("<speak>".to_owned()))],
            bad,
            "input.ssml",
        ),
        (
            "an unknown speaker",
            vec![
                first(none()),
                input(More::MultiSpeaker(turns(&[("A", "Hello.")]))),
            ],
            bad,
            "input.multi_speaker.turns[0].speaker_alias",
        ),
        (
            "a long marker",
            vec![first(none()), marker("a".repeat(129))],
            bad,
            "marker.id",
        ),
        (
            "an unknown language",
            vec![first(pb::SynthesisConfig {
                language_code: "tlh".to_owned(),
                ..none()
            })],
            bad,
            "streaming_config.config.language_code",
        ),
    ];
    for (what, all, code, field) in cases {
        let (replies, end) = timeout(SOON, served.stream(all))
            .await
            .unwrap_or_else(|_| panic!("{what}: no answer"));
        let status = end.expect_err(what);
        assert_eq!(status.code(), code, "{what}: {status:?}");
        assert_refused(&status, code, field);
        assert!(
            !replies
                .iter()
                .any(|reply| matches!(reply.event, Some(Event::Ended(_)))),
            "{what}"
        );
    }
    let markers = (0..2_000).map(|n| marker(n.to_string()));
    let all = [first(none()), more("and")].into_iter().chain(markers).collect();
    let (_, end) = timeout(SOON, served.stream(all)).await.expect("soon");
    assert_eq!(end.expect_err("too many markers").code(), Code::ResourceExhausted);
    assert_untouched(beside).await;
}
