//! What tells a kind of document by its shape, and by how often words of a sort stand in it.

use crate::features::Features;

/// The evidence that its shape gives.
pub(crate) fn shapes(features: &Features) -> Vec<(&'static str, f32)> {
    let mut found = Vec::new();
    if features.mrz {
        found.push(("id_document", 8.0));
    }
    // A card holds few words; long texts only speak of passports.
    if features.count > 150 && !features.mrz {
        found.push(("id_document", -4.0));
    }
    // Short lines that end in prices, on a strip of paper.
    if features.median_line <= 28 && features.prices >= 3 {
        found.push(("receipt", 1.5));
    }
    if features.slim >= 1.7 && features.prices >= 1 {
        found.push(("receipt", 1.2));
    }
    if features.priced >= 0.4 && features.count >= 60 {
        found.push(("bank_statement", 0.8));
    }
    if features.blanks >= 0.15 {
        found.push(("form", 1.2 + 3.0 * features.blanks.min(0.5)));
    }
    if features.measures >= 3 {
        found.push(("recipe", 2.5));
    }
    let kitchen = [
        "stir", "bake", "simmer", "chop", "chopped", "mix", "boil", "fry", "cook", "salt", "pepper",
        "butter", "onion", "onions", "garlic", "flour", "sugar", "oil", "cream", "egg", "eggs", "milk",
    ];
    match features.kinds(&kitchen) {
        0..=3 => {}
        4..=6 => found.push(("recipe", 1.5)),
        _ => found.push(("recipe", 2.5)),
    }
    if features.code >= 0.3 && features.signs >= 0.04 {
        found.push(("source_code", 2.0 + 6.0 * features.code));
    }
    let prose = features.median_line >= 40 || features.count >= 80;
    if prose && features.rate(&["i", "my", "me", "you", "your"]) >= 5.0 && features.code < 0.1 {
        let personal = features.rate(&["i", "my", "me"]) >= 2.0;
        found.push(("letter", if personal { 2.5 } else { 0.5 }));
        if !personal && features.rate(&["we", "our", "us"]) >= 0.8 {
            found.push(("policy_terms", 1.5));
        }
    }
    if features.rate(&["shall", "hereof", "hereby", "party", "parties"]) >= 1.0 {
        found.push(("contract", 1.5));
    }
    found
}
