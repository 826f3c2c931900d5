//! `polyphony.toml` at the root of the repository: the reference of every key says what the code says.

use polyphony_asr::Config as AsrConfig;
use polyphony_chassis::config::{ClientTlsConfig, TlsConfig as ServerTls};
use polyphony_chassis::telemetry::TelemetryConfig;
use polyphony_config::{Mismatch, Reference};
use polyphony_gateway::{Keys, TlsKeys};
use polyphony_gateway_core::{ClusterConfig, RouteConfig, TlsConfig as ClusterTls};
use polyphony_inference::InferenceConfig;
use polyphony_jobs::JobsConfig;
use polyphony_llm_proxy::config::{AliasConfig, Kind, UpstreamConfig};
use polyphony_models::ModelsConfig;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::Polyphony;

const TEXT: &str = include_str!("../../polyphony.toml");

/// A listener's TLS, with what it requires as the reference shows it.
fn identity<T: DeserializeOwned>() -> T {
    let required = json!({ "cert": "/etc/polyphony/tls.crt", "key": "/etc/polyphony/tls.key" });
    serde_json::from_value(required).expect("every other key has a default")
}

/// TLS to other services, with what it requires as the reference shows it.
fn channel_tls() -> ClientTlsConfig {
    let required = json!({ "ca": "/etc/polyphony/mesh.crt" });
    serde_json::from_value(required).expect("every other key has a default")
}

fn lies() -> Result<Vec<Mismatch>, polyphony_config::Error> {
    let cluster_tls = ClusterTls {
        ca: "/etc/polyphony/mesh.crt".into(),
        ..ClusterTls::default()
    };
    let route = RouteConfig::new("polyphony.asr.v1.AsrService", "asr");
    let upstream = UpstreamConfig::new("http://gpu-box:8000", Kind::Openai);
    let alias = AliasConfig {
        name: "*-awq".to_owned(),
        model: "*".to_owned(),
        ..AliasConfig::default()
    };
    let checked = Reference::parse(TEXT)?
        .section::<Keys>("gateway")?
        .example("gateway.tls", &identity::<TlsKeys>())?
        .example("gateway.clusters.asr", &ClusterConfig::default())?
        .example("gateway.clusters.asr.tls", &cluster_tls)?
        .example("gateway.routes.0", &route)?
        .section::<AsrConfig>("asr")?
        .example("asr.server.tls", &identity::<ServerTls>())?
        .elsewhere("align.server")
        .section::<polyphony_align::Config>("align")?
        .elsewhere("diar.server")
        .section::<polyphony_diar::Config>("diar")?
        .elsewhere("llm-proxy.server")
        .section::<polyphony_llm_proxy::Config>("llm-proxy")?
        .example("llm-proxy.upstreams.gpu-box", &upstream)?
        .example("llm-proxy.aliases.0", &alias)?
        .elsewhere("tts.server")
        .section::<polyphony_tts::Config>("tts")?
        .elsewhere("ocr.server")
        .section::<polyphony_ocr::Config>("ocr")?
        .elsewhere("rag.server")
        .section::<polyphony_rag::Config>("rag")?
        .example("rag.channel.tls", &channel_tls())?
        .elsewhere("video-gen.server")
        .section::<polyphony_video_gen::Config>("video-gen")?
        .elsewhere("analysis.server")
        .section::<polyphony_analysis::Config>("analysis")?
        .section::<JobsConfig>("jobs")?
        .section::<ModelsConfig>("models")?
        .section::<InferenceConfig>("inference")?
        .section::<TelemetryConfig>("telemetry")?;
    Ok(checked.finish())
}

#[test]
fn it_shows_every_key_at_its_default() {
    let lies = lies().expect("TOML");
    let lies: Vec<_> = lies.iter().map(Mismatch::to_string).collect();
    assert!(lies.is_empty(), "polyphony.toml:\n{}", lies.join("\n"));
}

#[test]
fn every_key_has_its_prose() {
    for (at, line) in TEXT.lines().enumerate() {
        let is_key = line.starts_with('#') && line.contains(" = ") && !line.starts_with("# ");
        assert!(!is_key || line.contains("  # "), "line {}: {line}", at + 1);
    }
}

#[test]
fn it_changes_nothing_where_it_lies_in_the_current_folder() {
    let dump = || Polyphony::new(&["up", "--dump-config"]);
    let with = dump().with_file(TEXT).run().printed();
    let without = dump().run().printed();
    assert!(with.contains("# file: polyphony.toml\n"), "{with}");
    assert_eq!(with.replace("# file: polyphony.toml\n", ""), without);
    assert!(without.contains("\nmax_streams = 0  # default\n"), "{without}");
    let check = Polyphony::new(&["up", "--check"]).with_file(TEXT);
    assert_eq!(check.run().printed(), "");
}

#[test]
fn it_can_be_used_with_every_key_and_example_in_force() {
    let all = Reference::uncommented(TEXT);
    let run = |flag| Polyphony::new(&["up", flag]).with_file(&all).run().printed();
    assert_eq!(run("--check"), "");
    let dump = run("--dump-config");
    // The keys of a server are shown once, for asr.
    let elsewhere = [
        "align",
        "analysis",
        "diar",
        "llm-proxy",
        "ocr",
        "rag",
        "tts",
        "video-gen",
    ]
    .map(|name| format!("[{name}.server"));
    let mut shown = true;
    let mut absent = Vec::new();
    for line in dump.lines() {
        if line.starts_with('[') {
            shown = !elsewhere.iter().any(|table| line.starts_with(table));
        }
        if shown && line.ends_with("# default") {
            absent.push(line);
        }
    }
    assert_eq!(
        absent,
        Vec::<&str>::new(),
        "keys that polyphony.toml does not show"
    );
}
