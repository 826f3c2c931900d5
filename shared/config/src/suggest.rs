//! The known name that a mistyped one most likely meant.

/// The nearest of `known` to `name`, if one is near enough to be worth offering.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let fold = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let name = fold(name);
    let (distance, best) = known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name, &fold(candidate)), candidate))
        .min()?;
    // A third of the letters may be wrong; a shared prefix or suffix of a longer name also counts.
    let near = distance <= (name.chars().count().max(3) / 3)
        || (name.len() >= 4 && (fold(best).starts_with(&name) || name.starts_with(&fold(best))));
    near.then(|| best.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_mended_and_a_stranger_is_not() {
        let known = ["max_streams", "engine", "language"];
        assert_eq!(nearest("max_stream", known).as_deref(), Some("max_streams"));
        assert_eq!(nearest("max-streams", known).as_deref(), Some("max_streams"));
        assert_eq!(nearest("egnine", known).as_deref(), Some("engine"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("x", []), None);
    }
}
