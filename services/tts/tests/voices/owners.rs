//! Whose a stored voice is: whom the certificate of a caller names.

use super::*;

/// A client whose certificate has this name.
fn client(uri: &str, ca: &Path, files: &PemFiles) -> TtsServiceClient<Client> {
    let tls = ClientTlsConfig {
        ca: ca.to_owned(),
        cert: Some(files.cert.clone()),
        key: Some(files.key.clone()),
        server_name: Some("localhost".to_owned()),
        reload_interval: HumanDuration::from_secs(5),
    };
    let config = ChannelConfig {
        tls: Some(tls),
        ..ChannelConfig::default()
    };
    let uri = uri.parse().expect("a uri");
    TtsServiceClient::new(connect::client(&uri, &config).expect("a channel"))
}

#[tokio::test]
async fn who_owns_a_voice_is_whom_the_certificate_names() {
    let dir = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("mesh");
    let ca = authority.write_to(dir.path());
    let server = authority.issue(Leaf::server()).write_to(dir.path(), "server");
    let named = |name: &str, uri: &str| {
        authority
            .issue(Leaf::client().uri(uri))
            .write_to(dir.path(), name)
    };
    let (books, radio, other) = (
        named("books", "spiffe://example.org/books"),
        named("radio", "spiffe://example.org/radio"),
        named("other", "spiffe://example.org/other"),
    );
    let tls = TlsConfig {
        cert: server.cert,
        key: server.key,
        client_ca: Some(ca.clone()),
        allowed_clients: Vec::new(),
        reload_interval: HumanDuration::from_secs(5),
    };
    let voices = dir.path().join("voices");
    store(
        &voices,
        "narrator",
        r#"{ "voice": "voices/espeak-en-us", "owner": "spiffe://example.org/books",
             "allowed_tenants": ["spiffe://example.org/radio"] }"#,
    );
    store(&voices, "nobodys", &narrator("anonymous"));
    let (uri, _trigger) = served_in_tls(tls, &voices).await;
    let name = "voices/narrator".to_owned();
    let (mut owner, mut tenant, mut stranger) = (
        client(&uri, &ca, &books),
        client(&uri, &ca, &radio),
        client(&uri, &ca, &other),
    );
    let said = |voice: &str| pb::SynthesizeRequest {
        config: Some(pb::SynthesisConfig {
            voice: voice.to_owned(),
            ..Default::default()
        }),
        input: Some(text("Hello.")),
    };
    owner.synthesize(said(&name)).await.expect("its owner's");
    tenant.synthesize(said(&name)).await.expect("a tenant's");
    let status = stranger
        .synthesize(said(&name))
        .await
        .expect_err("somebody else's");
    assert_status(&status, Code::PermissionDenied, "VOICE_OF_ANOTHER");
    let status = owner
        .synthesize(said("voices/nobodys"))
        .await
        .expect_err("of callers without names");
    assert_status(&status, Code::PermissionDenied, "VOICE_OF_ANOTHER");
    // A tenant may use it, and only the owner change and delete it.
    let request = pb::GetVoiceRequest { name: name.clone() };
    let voice = tenant.get_voice(request).await.expect("a tenant's").into_inner();
    let change = pb::UpdateVoiceRequest {
        voice: Some(pb::Voice {
            display_name: "Mine".to_owned(),
            ..voice
        }),
        update_mask: None,
    };
    let remove = pb::DeleteVoiceRequest {
        name: name.clone(),
        etag: String::new(),
    };
    let status = tenant
        .update_voice(change.clone())
        .await
        .expect_err("not its own");
    assert_status(&status, Code::PermissionDenied, "VOICE_OF_ANOTHER");
    let status = tenant
        .delete_voice(remove.clone())
        .await
        .expect_err("not its own");
    assert_status(&status, Code::PermissionDenied, "VOICE_OF_ANOTHER");
    let listed = async |client: &mut TtsServiceClient<Client>| {
        let request = pb::ListVoicesRequest {
            page_size: 1_000,
            ..Default::default()
        };
        let voices = client
            .list_voices(request)
            .await
            .expect("listed")
            .into_inner()
            .voices;
        voices.iter().any(|voice| voice.name == "voices/narrator")
    };
    assert!(listed(&mut owner).await && listed(&mut tenant).await && !listed(&mut stranger).await);
    owner.update_voice(change).await.expect("its own");
    owner.delete_voice(remove).await.expect("its own");
    let status = owner.synthesize(said(&name)).await.expect_err("gone");
    assert_eq!(status.code(), Code::NotFound);
    // The folder is swept in the background, without harm to what is left.
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(voices.join("nobodys/voice.json").exists());
}
