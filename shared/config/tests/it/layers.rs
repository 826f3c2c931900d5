//! Which layer wins, and what an error says.

use super::*;

#[test]
fn without_any_source_a_section_is_its_default() {
    let layers = Layers::load(Sources::default()).expect("nothing to read");
    assert_eq!(layers.section::<Asr>("asr").expect("defaults"), Asr::default());
    assert_eq!(layers.file(), None);
}

#[test]
fn a_later_layer_wins() {
    let text = "[asr]\nmax_streams = 1\nwarm = true\nengine = \"whisper\"\n";
    let env = [
        ("POLYPHONY_ASR__MAX_STREAMS", "2"),
        ("POLYPHONY_ASR__VAD__WINDOW", "32"),
    ];
    let section = asr(text, &env, &["asr.max_streams=3", "asr.max_streams=4"]).expect("valid");
    assert_eq!(section.max_streams, 4);
    assert_eq!(section.vad.window, 32);
    assert!(section.warm);
    assert_eq!(asr(text, &env, &[]).expect("valid").max_streams, 2);
    assert_eq!(asr(text, &[], &[]).expect("valid").max_streams, 1);
}

#[test]
fn a_variable_reaches_a_section_with_a_dash_in_its_name() {
    let sources = Sources {
        env: vec![("POLYPHONY_LLM_PROXY__MAX_STREAMS".into(), "5".into())],
        ..Sources::default()
    };
    let layers = Layers::load(sources).expect("valid");
    assert_eq!(layers.section::<Asr>("llm-proxy").expect("valid").max_streams, 5);
}

#[test]
fn text_takes_the_type_of_its_field() {
    let env = [
        ("POLYPHONY_ASR__THRESHOLD", "0.5"),
        ("POLYPHONY_ASR__WARM", "true"),
        ("POLYPHONY_ASR__IDLE", "250ms"),
        ("POLYPHONY_ASR__MEMORY", "4096"),
        ("POLYPHONY_ASR__LANGUAGES", "de, fr"),
        ("POLYPHONY_ASR__PORTS", "[1, 2]"),
        ("POLYPHONY_ASR__LANGUAGE", "1234"),
        ("POLYPHONY_ASR__UPSTREAMS", "[{ name = \"a\" }]"),
        ("POLYPHONY_ASR__VAD", "{ window = 7 }"),
        ("POLYPHONY_ASR__ENGINE", "whisper"),
    ];
    let section = asr("", &env, &["asr.aliases.\"a.b\"=x=y"]).expect("valid");
    assert_eq!(section.threshold, 0.5);
    assert!(section.warm);
    assert_eq!(section.idle, HumanDuration::from_millis(250));
    assert_eq!(section.memory, ByteSize(4096));
    assert_eq!(section.languages, ["de", "fr"]);
    assert_eq!(section.ports, [1, 2]);
    assert_eq!(section.language.as_deref(), Some("1234"));
    assert_eq!(section.upstreams[0].name, "a");
    assert_eq!(section.vad.window, 7);
    assert_eq!(section.engine, Engine::Whisper);
    assert_eq!(section.aliases["a.b"], "x=y");
}

#[test]
fn empty_text_unsets_an_optional_value_and_empties_a_list() {
    let env = [("POLYPHONY_ASR__LANGUAGE", ""), ("POLYPHONY_ASR__LANGUAGES", "")];
    let section = asr("[asr]\nlanguage = \"en\"\n", &env, &[]).expect("valid");
    assert_eq!(section.language, None);
    assert_eq!(section.languages, Vec::<String>::new());
}

#[test]
fn an_error_names_the_key_its_origin_and_what_was_expected() {
    for (text, env, sets, expected) in [
        (
            "[asr]\n\nmax_streams = \"many\"\n",
            None,
            None,
            "`asr.max_streams` (polyphony.toml:3): invalid type: string \"many\", expected u16",
        ),
        (
            "",
            Some(("POLYPHONY_ASR__MAX_STREAMS", "70000")),
            None,
            "`asr.max_streams` (POLYPHONY_ASR__MAX_STREAMS): invalid value: string \"70000\", expected u16",
        ),
        (
            "[asr]\nidle = 5\n",
            None,
            None,
            "`asr.idle` (polyphony.toml:2): invalid type: integer `5`, expected a duration such as \"250ms\", \"10s\" or \"5m\"",
        ),
        (
            "",
            None,
            Some("asr.ports=1,x"),
            "`asr.ports[1]` (--set asr.ports): invalid value: string \"x\", expected u16",
        ),
        (
            "[asr]\nmax_stream = 3\n",
            None,
            None,
            "unknown key `asr.max_stream` (polyphony.toml:2); did you mean `max_streams`?",
        ),
        (
            "",
            Some(("POLYPHONY_ASR__VAD__COLOUR", "red")),
            None,
            "unknown key `asr.vad.colour` (POLYPHONY_ASR__VAD__COLOUR); known here: window",
        ),
        (
            "[asr]\nengine = \"wisper\"\n",
            None,
            None,
            "`asr.engine` (polyphony.toml:2): unknown value \"wisper\"; did you mean \"whisper\"? expected one of: auto, whisper",
        ),
        (
            "[[asr.upstreams]]\nweight = 1\n",
            None,
            None,
            "`asr.upstreams[0].name` (polyphony.toml:1): is required; set it in the file or with --set",
        ),
        (
            "[asr]\nwarm = tru\n",
            None,
            None,
            "polyphony.toml:2: not valid TOML",
        ),
        (
            "",
            Some(("POLYPHONY_ASR__", "1")),
            None,
            "POLYPHONY_ASR__: expected POLYPHONY_SECTION__KEY, with two underscores between the parts and none at the end",
        ),
        (
            "",
            Some(("POLYPHONY_ASR__VAD", "{}")),
            Some("asr.vad.window"),
            "--set asr.vad.window: expected section.key=value",
        ),
    ] {
        let said = refusal(text, env.as_slice(), sets.as_slice());
        assert!(said.starts_with(expected), "expected {expected}\n     got {said}");
    }
}

#[test]
fn settings_of_one_layer_may_not_contradict_each_other() {
    let env = [
        ("POLYPHONY_ASR__VAD", "{ window = 1 }"),
        ("POLYPHONY_ASR__VAD__WINDOW", "2"),
    ];
    assert_eq!(
        refusal("", &env, &[]),
        "`asr.vad.window` (POLYPHONY_ASR__VAD__WINDOW) contradicts `asr.vad` (POLYPHONY_ASR__VAD); keep one of them"
    );
}

#[test]
fn an_unknown_section_is_named_with_the_one_that_was_meant() {
    let known = ["asr", "gateway", "telemetry"];
    let layers = load("[asr]\n[gatway]\nport = 1\n", &[], &[]).expect("valid TOML");
    let error = layers.check_sections(&known).expect_err("a typo").to_string();
    assert!(
        error.contains("`gatway`") && error.contains("polyphony.toml:2"),
        "{error}"
    );
    assert!(error.ends_with("did you mean `gateway`?"), "{error}");

    let layers = load("", &[("POLYPHONY_ARS__ENGINE", "auto")], &[]).expect("a key");
    let error = layers.check_sections(&known).expect_err("a typo").to_string();
    assert_eq!(
        error,
        "unknown key `ars` (POLYPHONY_ARS__ENGINE); did you mean `asr`?"
    );
}

#[test]
fn what_kubernetes_and_others_put_into_the_environment_is_not_a_key() {
    let env = [
        ("POLYPHONY_ASR_SERVICE_HOST", "10.0.0.1"),
        ("POLYPHONY_CONFIG", "/x"),
        ("PATH", "/bin"),
        ("OTHER__ASR__ENGINE", "x"),
    ];
    let layers = load("", &env, &[]).expect("nothing of ours");
    layers.check_sections(&[]).expect("no section is set");
}

#[test]
fn a_named_file_must_exist_and_a_searched_one_need_not() {
    let absent = PathBuf::from("/nonexistent/polyphony.toml");
    let named = Sources {
        file: Some(absent.clone()),
        ..Sources::default()
    };
    assert!(matches!(Layers::load(named), Err(Error::NotFound { path }) if path == absent));

    let (_dir, path) = file("[asr]\nmax_streams = 9\n");
    let searched = Sources {
        search: vec![absent, path.clone()],
        ..Sources::default()
    };
    let layers = Layers::load(searched).expect("the second is there");
    assert_eq!(layers.file(), Some(path.as_path()));
    assert_eq!(layers.section::<Asr>("asr").expect("valid").max_streams, 9);
}

#[test]
fn a_file_of_absurd_size_is_refused_unread() {
    let text = "#".repeat((1 << 20) + 1);
    assert!(matches!(load(&text, &[], &[]), Err(Error::TooLarge { .. })));
}

#[test]
fn a_rule_beyond_types_is_reported_like_one_of_ours() {
    let layers = load(
        "[asr]\nmax_streams = 0\n",
        &[("POLYPHONY_ASR__MAX_STREAMS", "0")],
        &[],
    )
    .expect("valid");
    assert_eq!(
        layers
            .invalid("asr.max_streams", "must be at least 1")
            .to_string(),
        "`asr.max_streams` (POLYPHONY_ASR__MAX_STREAMS): must be at least 1"
    );
}
