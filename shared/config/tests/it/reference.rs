//! That every lie of a reference is found.

use polyphony_config::{Mismatch, Reference};

use super::*;

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
