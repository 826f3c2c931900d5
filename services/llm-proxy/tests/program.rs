//! The program as it is configured.

use polyphony_config::{Layers, Sources};
use polyphony_llm_proxy::Config;

fn layers(settings: &[&str]) -> Layers {
    let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
    let sources = Sources {
        search: Vec::new(),
        ..Sources::of_process(None, settings)
    };
    Layers::load(sources).expect("layers")
}

#[test]
fn keys_that_cannot_be_used_are_named() {
    for (setting, told) in [
        ("llm-proxy.timeout=0", "llm-proxy.timeout"),
        ("llm-proxy.max_streams=0", "llm-proxy.max_streams"),
        ("llm-proxy.retry.attempts=0", "llm-proxy.retry.attempts"),
        ("llm-proxy.retry.budget=2.0", "llm-proxy.retry.budget"),
        ("llm-proxy.upstreams.a.kind=vllm", "llm-proxy.upstreams.a.url"),
        ("llm-proxy.upstreams.a.url=ftp://x", "llm-proxy.upstreams.a.url"),
        (
            "llm-proxy.upstreams.a.url=http://u:p@x",
            "llm-proxy.upstreams.a.url",
        ),
        (
            "llm-proxy.aliases=[{name='a*b*', model='c'}]",
            "llm-proxy.aliases.0.name",
        ),
        (
            "llm-proxy.aliases=[{name='a', model='c*'}]",
            "llm-proxy.aliases.0.model",
        ),
        ("llm-proxy.http.listen=here", "llm-proxy.http.listen"),
        ("llm-proxy.http.listen=0.0.0.0:9004", "llm-proxy.http.listen"),
    ] {
        let error = Config::read(&layers(&[setting])).expect_err(setting);
        let chain = polyphony_error::chain(&error).to_string();
        assert!(chain.contains(told), "{setting}: {chain}");
    }
    Config::read(&layers(&[
        "llm-proxy.http.listen=0.0.0.0:9004",
        "llm-proxy.http.allow_anonymous=true",
    ]))
    .expect("said");
    Config::read(&layers(&["llm-proxy.http.listen="])).expect("none");
}

#[test]
fn the_key_of_an_upstream_is_never_shown() {
    let layers = layers(&[
        "llm-proxy.upstreams.a.url=http://x:1",
        "llm-proxy.upstreams.a.api_key=sk-secret",
    ]);
    let config = Config::read(&layers).expect("valid");
    assert!(!format!("{config:?}").contains("sk-secret"));
    let dump = polyphony_config::Dump::new(&layers)
        .section("llm-proxy", &config)
        .expect("printed")
        .finish();
    assert!(
        !dump.contains("sk-secret") && dump.contains("http://x:1"),
        "{dump}"
    );
}
