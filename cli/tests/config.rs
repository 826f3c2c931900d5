//! Where the config comes from, and what is said of it.

use crate::Polyphony;

/// The line of a dump that shows `key` of `[section]`.
fn line<'a>(dump: &'a str, section: &str, key: &str) -> &'a str {
    let header = format!("[{section}]");
    let key = format!("{key} = ");
    dump.lines()
        .skip_while(|line| *line != header)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .find(|line| line.starts_with(&key))
        .unwrap_or_else(|| panic!("no {key} under {header} in\n{dump}"))
}

#[test]
fn a_dump_says_which_layer_set_a_key() {
    let dump = Polyphony::new(&["up", "--dump-config", "--set", "asr.max_queue=7"])
        .with_file("[asr]\nmax_queue = 1\nworkers = 3\n\n[gateway]\nmax_timeout = \"2m\"\n")
        .env("POLYPHONY_ASR__MAX_QUEUE", "5")
        .env("POLYPHONY_ASR__MAX_STREAMS", "8")
        .run()
        .printed();
    for (section, key, value, origin) in [
        ("asr", "max_queue", "7", "--set asr.max_queue"),
        ("asr", "max_streams", "8", "POLYPHONY_ASR__MAX_STREAMS"),
        ("asr", "workers", "3", "polyphony.toml:3"),
        ("gateway", "max_timeout", "\"2m\"", "polyphony.toml:6"),
        ("asr", "max_operations", "64", "default"),
    ] {
        assert_eq!(line(&dump, section, key), format!("{key} = {value}  # {origin}"));
    }
}

#[test]
fn a_dump_is_a_config_that_says_the_same() {
    let values = |dump: &str| -> Vec<String> {
        let of = |line: &str| Some(line.split_once("  # ")?.0.to_owned());
        dump.lines().filter_map(of).collect()
    };
    let set = Polyphony::new(&["up", "--dump-config", "--set", "asr.max_queue=7"]);
    let first = set.run().printed();
    let second = Polyphony::new(&["up", "--dump-config"]).with_file(&first);
    let second = second.run().printed();
    assert!(values(&first).contains(&"max_queue = 7".to_owned()), "{first}");
    assert_eq!(values(&first), values(&second));
}

#[test]
fn a_secret_is_redacted_wherever_it_comes_from() {
    const TOKEN: &str = "hf_canary";
    let dump = || Polyphony::new(&["up", "--dump-config"]);
    let file = format!("[models]\nhub_token = \"{TOKEN}\"\n");
    for (polyphony, origin) in [
        (
            dump().env("POLYPHONY_MODELS__HUB_TOKEN", TOKEN),
            "POLYPHONY_MODELS__HUB_TOKEN",
        ),
        (dump().with_file(&file), "polyphony.toml:2"),
    ] {
        let dump = polyphony.run().printed();
        assert!(!dump.contains(TOKEN), "{dump}");
        assert_eq!(
            line(&dump, "models", "hub_token"),
            format!("hub_token = \"[redacted]\"  # {origin}")
        );
    }
}

#[test]
fn a_misspelt_key_is_refused_with_the_one_that_was_meant() {
    for flag in ["--check", "--dump-config"] {
        let polyphony = Polyphony::new(&["up", flag]).with_file("[asr]\nmax_stream = 8\n");
        assert_eq!(
            polyphony.run().refusal(),
            "polyphony: unknown key `asr.max_stream` (polyphony.toml:2); did you mean `max_streams`?\n"
        );
    }
    let section = Polyphony::new(&["up", "--check", "--set", "gatway.listen=127.0.0.1:1"]);
    let said = section.run().refusal();
    assert!(said.ends_with("did you mean `gateway`?\n"), "{said}");
    let doctor = Polyphony::new(&["doctor"]).env("POLYPHONY_INFERENCE__DEVCE", "cpu");
    let said = doctor.run().refusal();
    assert!(said.ends_with("did you mean `device`?\n"), "{said}");
}

#[test]
fn a_value_that_cannot_be_used_is_refused_with_its_origin_and_the_remedy() {
    let polyphony = Polyphony::new(&["up", "--check", "--set", "gateway.listen=0.0.0.0:8080"]);
    let said = polyphony.run().refusal();
    assert!(said.contains("`gateway.listen` (--set gateway.listen)"), "{said}");
    assert!(said.contains("`gateway.allow_plaintext = true`"), "{said}");
}

#[test]
fn a_refusal_is_json_where_json_was_asked_for() {
    let polyphony = Polyphony::new(&["up", "--json", "--check", "--set", "asr.max_stream=8"]);
    let said: serde_json::Value = serde_json::from_str(&polyphony.run().refusal()).expect("JSON");
    let error = said["error"].as_str().expect("a text");
    assert!(error.starts_with("unknown key `asr.max_stream`"), "{error}");
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let polyphony = Polyphony::new(&["up", "--check", "--config", "absent.toml"]);
    let said = polyphony.run().refusal();
    assert!(said.contains("absent.toml"), "{said}");
}
