//! `polyphony say --list-voices`.

use std::process::ExitCode;

use polyphony_proto::tts::v1 as pb;
use polyphony_proto::tts::v1::tts_service_client::TtsServiceClient;
use serde_json::json;
use tonic::transport::Channel;

use crate::args::Say;
use crate::{client, output};

pub(super) async fn list(
    tts: &mut TtsServiceClient<Channel>,
    args: &Say,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let mut page_token = String::new();
    loop {
        let request = pb::ListVoicesRequest {
            language_code: args.language.clone().unwrap_or_default(),
            model: args.model.clone().unwrap_or_default(),
            page_size: 1_000,
            page_token,
        };
        let page = tts
            .list_voices(client::request(request, args.timeout))
            .await?
            .into_inner();
        for voice in page.voices {
            if as_json {
                output::object(&json!({
                    "name": voice.name,
                    "displayName": voice.display_name,
                    "languages": voice.language_codes,
                    "model": voice.model,
                }))?;
            } else {
                let languages = voice.language_codes.join(",");
                output::line(&format!(
                    "{:32} {languages:12} {}",
                    voice.name, voice.display_name
                ))?;
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}
