//! Other names of models: one `*` stands for any text.

use crate::config::AliasConfig;

/// The model that is meant by `name`, if the alias is about it.
pub(super) fn applied(alias: &AliasConfig, name: &str) -> Option<String> {
    let star = matched(&alias.name, name)?;
    Some(alias.model.replace('*', star))
}

/// The name by which `model` can be asked for, if there is exactly one.
pub(super) fn reversed(alias: &AliasConfig, model: &str) -> Option<String> {
    let star = matched(&alias.model, model)?;
    // "*" to one model: any name fits, which is no name.
    let is_one = !alias.name.contains('*') || alias.model.contains('*');
    is_one.then(|| alias.name.replace('*', star))
}

/// What the star of a pattern stands for in the text; empty where it has none.
fn matched<'a>(pattern: &str, text: &'a str) -> Option<&'a str> {
    match pattern.split_once('*') {
        None => (pattern == text).then_some(""),
        Some((before, after)) => {
            let rest = text.strip_prefix(before)?.strip_suffix(after)?;
            Some(rest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_turned_both_ways() {
        for (name, model, asked, meant) in [
            ("*-awq", "*", "qwen-awq", Some("qwen")),
            ("*-awq", "*", "qwen", None),
            ("gpt-*", "local/*:q4", "gpt-oss", Some("local/oss:q4")),
            ("fast", "tiny", "fast", Some("tiny")),
            ("fast", "tiny", "faster", None),
        ] {
            let alias = AliasConfig {
                name: name.to_owned(),
                model: model.to_owned(),
                ..AliasConfig::default()
            };
            assert_eq!(applied(&alias, asked).as_deref(), meant, "{asked}");
            if let Some(meant) = meant {
                assert_eq!(reversed(&alias, meant).as_deref(), Some(asked));
            }
        }
        let any = AliasConfig {
            name: "gpt-*".to_owned(),
            model: "tiny".to_owned(),
            ..AliasConfig::default()
        };
        assert_eq!(applied(&any, "gpt-5").as_deref(), Some("tiny"));
        assert_eq!(reversed(&any, "tiny"), None);
    }
}
