//! From bytes to text: UTF-8, UTF-16 with its mark, or the encoding that a page of HTML names.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use super::Error;

/// How far HTML is searched for its encoding (HTML, 13.2.3.2).
const PRESCAN: usize = 1024;

/// Text in UTF-8, or in UTF-16 with a mark at its beginning.
pub(super) fn text(bytes: &[u8]) -> Result<String, Error> {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return decode(bytes, encoding);
    }
    decode(bytes, UTF_8)
}

/// HTML: as text, else in the encoding that it names, else in windows-1252, as browsers read it.
pub(super) fn html(bytes: &[u8]) -> Result<String, Error> {
    if Encoding::for_bom(bytes).is_some() || std::str::from_utf8(bytes).is_ok() {
        return text(bytes);
    }
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(PRESCAN)]).to_ascii_lowercase();
    let named = head.split_once("charset=").and_then(|(_, rest)| {
        let name = rest.trim_start_matches(['"', '\'']);
        let end = name
            .find(['"', '\'', ';', '>', ' ', '/', '?'])
            .unwrap_or(name.len());
        Encoding::for_label(&name.as_bytes()[..end])
    });
    decode(
        bytes,
        named
            .filter(|encoding| *encoding != UTF_8)
            .unwrap_or(WINDOWS_1252),
    )
}

fn decode(bytes: &[u8], encoding: &'static Encoding) -> Result<String, Error> {
    let (text, _, is_broken) = encoding.decode(bytes);
    let not_text = |reason: String| Err(Error::NotText { reason });
    if is_broken {
        return not_text(format!(
            "its bytes are not {}; convert it to UTF-8",
            encoding.name()
        ));
    }
    if text.contains('\0') {
        return not_text("it holds NUL characters".to_owned());
    }
    Ok(text.into_owned())
}
