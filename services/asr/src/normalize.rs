//! Replacements in a final text, in the order in which they were asked for. No regular expressions: what a client sends
//! is found as it stands, in time that grows with the text alone.

/// One replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    search: Vec<char>,
    replace: String,
    case_sensitive: bool,
}

/// Replacements, applied one after another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Normalization(Vec<Replacement>);

// === impl Replacement ===

impl Replacement {
    /// `search` must not be empty.
    pub fn new(search: &str, replace: &str, case_sensitive: bool) -> Self {
        let fold = |c: char| if case_sensitive { c } else { folded(c) };
        Self {
            search: search.chars().map(fold).collect(),
            replace: replace.to_owned(),
            case_sensitive,
        }
    }

    fn apply(&self, text: &str) -> String {
        let fold = |c: char| if self.case_sensitive { c } else { folded(c) };
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let mut here = rest.chars();
            let found = self
                .search
                .iter()
                .all(|wanted| here.next().is_some_and(|c| fold(c) == *wanted));
            if found && !self.search.is_empty() {
                out.push_str(&self.replace);
                rest = here.as_str();
            } else {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        out
    }
}

// === impl Normalization ===

impl Normalization {
    /// In this order.
    pub const fn new(replacements: Vec<Replacement>) -> Self {
        Self(replacements)
    }

    /// Whether there is nothing to replace.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text with everything replaced.
    pub fn apply(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, replacement| replacement.apply(&text))
    }
}

/// One letter for both cases. Letters whose lower case has several ("İ") are compared as they are.
fn folded(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_replacement_sees_what_the_one_before_made() {
        let normalization = Normalization::new(vec![
            Replacement::new("fore word", "forward", false),
            Replacement::new("GO", "Go", false),
            Replacement::new("ten", "10", true),
        ]);
        assert_eq!(
            normalization.apply("go Fore Word TEN ten meters"),
            "Go forward TEN 10 meters"
        );
        assert_eq!(normalization.apply("ÄÖ"), "ÄÖ");
    }

    #[test]
    fn what_was_put_there_is_not_searched_again() {
        assert_eq!(
            Normalization::new(vec![Replacement::new("a", "aa", true)]).apply("aba"),
            "aabaa"
        );
    }
}
