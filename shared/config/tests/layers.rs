//! What an operator sees: which layer wins, what an error says, what a dump shows and hides.

use std::collections::BTreeMap;
use std::path::PathBuf;

use polyphony_config::{ByteSize, Dump, Error, HumanDuration, Layers, Mismatch, Reference, Secret, Sources};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asr {
    engine: Engine,
    max_streams: u16,
    threshold: f32,
    warm: bool,
    idle: HumanDuration,
    memory: ByteSize,
    languages: Vec<String>,
    ports: Vec<u16>,
    language: Option<String>,
    api_key: Option<Secret>,
    vad: Vad,
    upstreams: Vec<Upstream>,
    aliases: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Engine {
    Auto,
    Whisper,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Vad {
    window: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Upstream {
    name: String,
    #[serde(default)]
    weight: u32,
}

impl Default for Asr {
    fn default() -> Self {
        Self {
            engine: Engine::Auto,
            max_streams: 64,
            threshold: 0.35,
            warm: false,
            idle: HumanDuration::from_secs(300),
            memory: ByteSize::mib(64),
            languages: vec!["en".to_owned()],
            ports: Vec::new(),
            language: None,
            api_key: None,
            vad: Vad::default(),
            upstreams: Vec::new(),
            aliases: BTreeMap::new(),
        }
    }
}

/// A file in a folder that lives as long as the test.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("polyphony.toml");
    std::fs::write(&path, text).expect("the file is written");
    (dir, path)
}

fn load(text: &str, env: &[(&str, &str)], sets: &[&str]) -> Result<Layers, Error> {
    let (_dir, path) = file(text);
    Layers::load(Sources {
        file: Some(path),
        search: Vec::new(),
        env: env.iter().map(|(k, v)| (k.into(), v.into())).collect(),
        sets: sets.iter().map(|&set| set.to_owned()).collect(),
    })
}

fn asr(text: &str, env: &[(&str, &str)], sets: &[&str]) -> Result<Asr, Error> {
    load(text, env, sets)?.section("asr")
}

/// The message, without the folder of the file.
fn refusal(text: &str, env: &[(&str, &str)], sets: &[&str]) -> String {
    let error = asr(text, env, sets).expect_err("must be refused").to_string();
    match error.split_once("/polyphony.toml") {
        Some((before, after)) => {
            let head = before.rfind([' ', '(']).map_or("", |at| &before[..=at]);
            format!("{head}polyphony.toml{after}")
        }
        None => error,
    }
}

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

#[test]
fn a_secret_comes_from_its_value_or_its_file_and_is_never_shown() {
    const CANARY: &str = "hunter2-canary";
    let (_dir, path) = file(&format!("{CANARY}\n"));
    let by_file = format!("[asr]\napi_key_file = {:?}\n", path);
    let by_value = format!("[asr]\napi_key = \"{CANARY}\"\n");
    for text in [&by_file, &by_value] {
        let layers = load(text, &[], &[]).expect("valid");
        let section: Asr = layers.section("asr").expect("valid");
        let key = section.api_key.as_ref().expect("set").expose();
        assert_eq!(key, CANARY);
        let dump = Dump::new(&layers)
            .section("asr", &section)
            .expect("plain")
            .finish();
        let debug = format!("{section:?} {layers:?} {:?}", Secret::new(CANARY));
        assert!(!dump.contains(CANARY) && !debug.contains(CANARY), "{dump}{debug}");
        let line = dump
            .lines()
            .find(|line| line.starts_with("api_key ="))
            .expect("listed");
        assert!(
            line.starts_with("api_key = \"[redacted]\"  # ") && line.ends_with("polyphony.toml:2"),
            "{line}"
        );
    }
    // A higher layer wins whichever way it gives the secret.
    let section = asr(&by_file, &[("POLYPHONY_ASR__API_KEY", "other")], &[]).expect("valid");
    assert_eq!(section.api_key.expect("set").expose(), "other");
    let flag = format!("asr.api_key_file={}", path.display());
    let section = asr("[asr]\napi_key = \"low\"\n", &[], &[&flag]).expect("valid");
    assert_eq!(section.api_key.expect("set").expose(), CANARY);
}

#[test]
fn no_error_about_a_secret_quotes_it() {
    for text in [
        "[asr]\napi_key = 424242\n",
        "[asr]\napi_key = [\"424242\"]\n",
        "[asr]\napi_key = 424242 x\n",
        "[asr]\napi_key = \"424242\n",
        "[asr]\napi_key = \"424242\"\napi_key_file = \"/x\"\n",
    ] {
        let said = refusal(text, &[], &["asr.max_streams=1"]);
        assert!(!said.contains("424242"), "{said}");
    }
    assert!(!refusal("", &[], &["asr.api key=424242"]).contains("424242"));
}

#[test]
fn only_a_secret_is_read_from_a_file() {
    assert_eq!(
        refusal("[asr]\nlanguage_file = \"/etc/passwd\"\n", &[], &[])
            .split(';')
            .next(),
        Some("unknown key `asr.language_file` (polyphony.toml:2)")
    );
    assert_eq!(
        refusal("[asr]\napi_key_file = \"/nonexistent\"\n", &[], &[]),
        "`asr.api_key_file` (polyphony.toml:2): cannot read the secret from /nonexistent"
    );
}

#[test]
fn the_dump_is_toml_that_says_where_each_value_came_from() {
    let text = "[asr]\nmemory = \"1GB\"\n[[asr.upstreams]]\nname = \"a\"\n[asr.aliases]\n\"x.y\" = \"z\"\n";
    let layers = load(text, &[("POLYPHONY_ASR__WARM", "1")], &["asr.languages=de,fr"]).expect("valid");
    let section: Asr = layers.section("asr").expect("valid");
    let dump = Dump::new(&layers)
        .section("asr", &section)
        .expect("plain")
        .finish();
    for line in [
        "[asr]",
        "engine = \"auto\"  # default",
        "threshold = 0.35  # default",
        "warm = true  # POLYPHONY_ASR__WARM",
        "languages = [\"de\", \"fr\"]  # --set asr.languages",
        "# language is not set  # default",
        "[asr.vad]",
        "[[asr.upstreams]]",
        "\"x.y\" = \"z\"  # ",
    ] {
        assert!(
            dump.lines().any(|found| found.starts_with(line)),
            "{line} is not in\n{dump}"
        );
    }
    assert!(
        dump.contains("memory = \"1GB\"  # ") && dump.contains("polyphony.toml:2"),
        "{dump}"
    );
    // What was dumped reads back as the same configuration.
    assert_eq!(asr(&dump, &[], &[]).expect("a dump is a configuration"), section);
}

const REFERENCE: &str = r#"# The reference.
[asr]
# Which engine.
engine = "auto"
#max_streams = 64
threshold = 0.35
warm = false
idle = "300s"
memory = "65536KiB"
languages = ["en"]
#ports = [1, 2]
#language = "en-US"
#api_key = "example"
#[[asr.upstreams]]
#name = "example"
#[asr.aliases]
#a = "b"
[asr.vad]
window = 0
"#;

#[test]
fn a_true_reference_passes() {
    let mismatches = Reference::parse(REFERENCE)
        .expect("TOML")
        .section::<Asr>("asr")
        .expect("plain")
        .finish();
    assert_eq!(mismatches, []);
}

#[test]
fn every_lie_of_a_reference_is_found() {
    let check = |from: &str, to: &str| {
        assert!(REFERENCE.contains(from), "{from}");
        let found = Reference::parse(&REFERENCE.replace(from, to))
            .expect("TOML")
            .section::<Asr>("asr")
            .expect("plain")
            .finish();
        assert!(!found.is_empty(), "{from} -> {to} was not noticed");
        found[0].clone()
    };
    let missing = check("warm = false\n", "");
    assert_eq!(
        missing.to_string(),
        "`asr.warm` is not in the reference; its default is false"
    );
    assert!(matches!(check("#ports = [1, 2]\n", ""), Mismatch::Missing { key, .. } if key == "asr.ports"));
    assert!(matches!(
        check("#max_streams = 64", "#max_streams = 65"),
        Mismatch::Differs { active: false, .. }
    ));
    assert!(matches!(
        check("#language = ", "language = "),
        Mismatch::Differs { active: true, .. }
    ));
    assert!(matches!(
        check("window = 0", "window = 1"),
        Mismatch::Differs { .. }
    ));
    assert!(matches!(
        check("warm = false", "warm = false\nwrm = true"),
        Mismatch::Unreadable(_)
    ));
    assert!(
        matches!(check("[asr.vad]", "[gateway]\n[asr.vad]"), Mismatch::UnknownSection(name) if name == "gateway")
    );
}

#[test]
fn an_example_shows_every_key_of_its_type_at_its_default() {
    const TEXT: &str = "[asr]\n#[[asr.upstreams]]\n#name = \"example\"\n#weight = 0\n";
    let found = |text: &str, key: &str| {
        let reference = Reference::parse(text).expect("TOML");
        let reference = reference.section::<Asr>("asr").expect("plain");
        let example = Upstream {
            name: "example".to_owned(),
            weight: 0,
        };
        let found = reference.example(key, &example).expect("plain").finish();
        let about = found.iter().map(Mismatch::to_string);
        about
            .filter(|lie| lie.contains("asr.upstreams."))
            .collect::<Vec<_>>()
    };
    assert_eq!(found(TEXT, "asr.upstreams.0"), Vec::<String>::new());
    assert_eq!(
        found(&TEXT.replace("#weight = 0\n", ""), "asr.upstreams.0"),
        ["`asr.upstreams.0.weight` is not in the reference; its default is 0"]
    );
    assert_eq!(
        found(&TEXT.replace("weight = 0", "weight = 1"), "asr.upstreams.0"),
        ["`asr.upstreams.0.weight` is shown as 1, but its default is 0"]
    );
    assert_eq!(found(TEXT, "asr.upstreams.1").len(), 2, "there is no second");
}
