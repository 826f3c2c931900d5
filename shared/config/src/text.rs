//! Text from the environment or a flag, typed by what the field wants.

use crate::Origin;
use crate::file::parse_value;
use crate::tree::{Node, Value};

/// The key of a flag, `a.b."c.d"`, as segments; `None` if it is not a TOML key.
pub(crate) fn dotted(key: &str) -> Option<Vec<String>> {
    if key.contains(['\n', '\r', '=', '#']) {
        return None;
    }
    // The TOML parser knows how keys are quoted; a key alone makes a chain of tables with one end.
    let origin = Origin::Default;
    let mut node = parse_value(&format!("{{ {key} = 0 }}"), &origin)?;
    let mut path = Vec::new();
    loop {
        match node.value {
            Value::Table(table) if table.len() == 1 => {
                let (segment, below) = table.into_iter().next()?;
                path.push(segment);
                node = below;
            }
            Value::Integer(0) => return Some(path),
            _ => return None,
        }
    }
}

/// `true`, `false`, `1` or `0`.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.trim() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// A TOML array, or texts separated by commas. The empty text is the empty list.
pub(crate) fn list(text: &str, origin: &Origin) -> Vec<Node> {
    let text = text.trim();
    if text.starts_with('[')
        && let Some(Node {
            value: Value::Array(items),
            ..
        }) = parse_value(text, origin)
    {
        return items;
    }
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',')
        .map(|item| Node {
            origin: origin.clone(),
            value: Value::Text(item.trim().to_owned()),
        })
        .collect()
}

/// A TOML inline table.
pub(crate) fn table(text: &str, origin: &Origin) -> Option<Node> {
    let text = text.trim();
    text.starts_with('{').then(|| parse_value(text, origin)).flatten()
}

/// The value for a field that takes anything: TOML where it parses, else the text itself.
pub(crate) fn any(text: &str, origin: &Origin) -> Node {
    parse_value(text.trim(), origin).unwrap_or_else(|| Node {
        origin: origin.clone(),
        value: Value::String(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_may_be_quoted_and_nothing_else_is_a_key() {
        let path = |key| dotted(key).map(|path| path.join("|"));
        assert_eq!(path("a.b").as_deref(), Some("a|b"));
        assert_eq!(
            path("routes.\"polyphony.asr.v1\".to").as_deref(),
            Some("routes|polyphony.asr.v1|to")
        );
        for bad in ["", "a..b", "a b", "a = 0, b", "a\nb", "{}", "a = 0 } #"] {
            assert_eq!(path(bad), None, "{bad:?}");
        }
    }
}
