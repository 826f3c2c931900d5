//! What a dump shows, and that a secret is nowhere to be seen.

use polyphony_config::Dump;

use super::*;

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
