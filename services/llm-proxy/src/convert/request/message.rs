//! One message of a conversation, with its images and recordings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use polyphony_error::Fault;
use polyphony_proto::llm::v1 as pb;
use polyphony_wire::{Refusals, media};

use crate::domain::{Message, Part, Role, ToolCall};

/// Parses a message. `path` is that of the message, as "messages[0]".
///
/// # Errors
/// INVALID_ARGUMENT with every field that cannot be accepted.
pub(crate) fn message(message: pb::ChatMessage, path: &str) -> Result<Message, Fault> {
    let pb::ChatMessage {
        role,
        content,
        name,
        tool_calls,
        tool_call_id,
        reasoning_content,
        refusal,
    } = message;
    let mut refusals = Refusals::at(format!("{path}."));
    let role = match pb::Role::try_from(role) {
        Ok(pb::Role::System) => Role::System,
        Ok(pb::Role::User) => Role::User,
        Ok(pb::Role::Assistant) => Role::Assistant,
        Ok(pb::Role::Tool) => Role::Tool,
        // Which other fields it may have depends on it.
        Ok(pb::Role::Unspecified) | Err(_) => {
            let text = "must be SYSTEM, USER, ASSISTANT or TOOL";
            return Err(Fault::invalid(format!("{path}.role"), text));
        }
    };
    let mut only = |is_set: bool, field: &str, owner: Role, word: &str| {
        if is_set && role != owner {
            refusals.add(field, format!("is for messages of {word} alone"));
        }
    };
    only(!tool_calls.is_empty(), "tool_calls", Role::Assistant, "ASSISTANT");
    only(
        !reasoning_content.is_empty(),
        "reasoning_content",
        Role::Assistant,
        "ASSISTANT",
    );
    only(!refusal.is_empty(), "refusal", Role::Assistant, "ASSISTANT");
    only(!tool_call_id.is_empty(), "tool_call_id", Role::Tool, "TOOL");
    if role == Role::Tool && tool_call_id.is_empty() {
        refusals.add(
            "tool_call_id",
            "must be the id of the call that this is the result of",
        );
    }
    if name.chars().count() > 64 {
        refusals.add("name", "must have at most 64 characters");
    }
    let may_be_empty = role == Role::Assistant || role == Role::Tool;
    if content.is_empty() && !may_be_empty {
        refusals.add("content", "must have at least one part");
    }
    for (at, call) in tool_calls.iter().enumerate() {
        if call.id.is_empty() || call.name.is_empty() {
            refusals.add(&format!("tool_calls[{at}]"), "must have an id and a name");
        }
    }
    refusals.finish()?;
    let parts = content.into_iter().enumerate();
    let parts = parts.map(|(at, one)| part(one, &format!("{path}.content[{at}]")));
    Ok(Message {
        role,
        content: parts.collect::<Result<_, _>>()?,
        name,
        tool_calls: tool_calls.into_iter().map(call).collect(),
        tool_call_id,
        reasoning: reasoning_content,
        refusal,
    })
}

fn call(call: pb::ToolCall) -> ToolCall {
    let pb::ToolCall { id, name, arguments } = call;
    ToolCall { id, name, arguments }
}

fn part(part: pb::ContentPart, path: &str) -> Result<Part, Fault> {
    use pb::content_part::Part as Asked;
    match part.part {
        None => Err(Fault::invalid(path.to_owned(), "must be text, image or audio")),
        Some(Asked::Text(text)) => Ok(Part::Text(text)),
        Some(Asked::Image(pb::ImagePart { media, detail })) => {
            let bytes = media::inline(media, &format!("{path}.image.media"), "the image")?;
            let kind = image_kind(&bytes).ok_or_else(|| {
                Fault::invalid(format!("{path}.image.media"), "must be PNG, JPEG, WebP or GIF")
            })?;
            let detail = match pb::ImageDetail::try_from(detail) {
                Ok(pb::ImageDetail::Unspecified) => None,
                Ok(pb::ImageDetail::Low) => Some("low"),
                Ok(pb::ImageDetail::High) => Some("high"),
                Err(_) => {
                    let text = "is not a detail that is known here";
                    return Err(Fault::invalid(format!("{path}.image.detail"), text));
                }
            };
            Ok(Part::Image {
                url: format!("data:{kind};base64,{}", STANDARD.encode(&bytes)),
                detail,
            })
        }
        Some(Asked::Audio(media)) => {
            let bytes = media::inline(Some(media), &format!("{path}.audio"), "the recording")?;
            let format = match bytes.as_ref() {
                [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => "wav",
                [b'I', b'D', b'3', ..] | [0xff, 0xe2..=0xff, ..] => "mp3",
                _ => return Err(Fault::invalid(format!("{path}.audio"), "must be WAV or MP3")),
            };
            Ok(Part::Audio {
                data: STANDARD.encode(&bytes),
                format,
            })
        }
    }
}

fn image_kind(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use polyphony_proto::types::v1 as types;

    use super::*;

    fn image(bytes: &'static [u8]) -> Result<Part, Fault> {
        let media = types::Media {
            source: Some(types::media::Source::Inline(bytes.into())),
        };
        let image = pb::ImagePart {
            media: Some(media),
            detail: 0,
        };
        part(
            pb::ContentPart {
                part: Some(pb::content_part::Part::Image(image)),
            },
            "messages[0].content[0]",
        )
    }

    #[test]
    fn an_image_becomes_a_data_url_by_what_it_is() {
        let Ok(Part::Image { url, .. }) = image(b"\x89PNG\r\n") else {
            panic!("an image")
        };
        assert_eq!(url, "data:image/png;base64,iVBORw0K");
        let refused = image(b"BM").expect_err("refused");
        assert_eq!(refused.violations[0].field, "messages[0].content[0].image.media");
    }

    #[test]
    fn fields_of_other_roles_are_refused() {
        let all = pb::ChatMessage {
            role: pb::Role::User.into(),
            tool_call_id: "x".to_owned(),
            reasoning_content: "hm".to_owned(),
            ..pb::ChatMessage::default()
        };
        let fault = message(all, "messages[3]").expect_err("refused");
        let fields: Vec<_> = fault.violations.iter().map(|one| &*one.field).collect();
        assert_eq!(
            fields,
            [
                "messages[3].reasoning_content",
                "messages[3].tool_call_id",
                "messages[3].content"
            ]
        );
        let tool = pb::ChatMessage {
            role: pb::Role::Tool.into(),
            ..pb::ChatMessage::default()
        };
        assert_eq!(
            message(tool, "m").expect_err("refused").violations[0].field,
            "m.tool_call_id"
        );
    }
}
