//! Dots that end no sentence: those of abbreviations, initials and ordinals.

/// Words that are written with a dot in the middle of a sentence, in lower case and without the dot at their end. Not
/// those that mostly stand at the end of one, as "etc" before a capital: a pause too few is heard less than one too many.
const KNOWN: [&str; 75] = [
    // English
    "mr", "mrs", "ms", "dr", "prof", "rev", "gen", "sen", "rep", "gov", "capt", "lt", "col", "sgt", "st",
    "sr", "jr", "hon", "vs", "etc", "e.g", "i.e", "cf", "al", "approx", "dept", "fig", "figs", "vol", "pp",
    "ed", "eds", "inc", "ltd", "co", "corp", "bros", "mt", "ft", "ave", "blvd", "jan", "feb", "apr", "aug",
    "sept", "oct", "nov", "dec", // German
    "z.b", "d.h", "u.a", "bzw", "usw", "ca", "nr", "str", "evtl", "ggf", "vgl", "bspw", "inkl", "sog",
    // French, Spanish, Italian, Portuguese
    "mme", "mlle", "env", "sra", "srta", "ud", "uds", "pág", "sig", "dott", "av", "exa",
];

/// Whether the dot behind `text` ends no sentence.
pub(super) fn is_before_dot(text: &str) -> bool {
    let begins = text
        .rfind(|c: char| !(c.is_alphanumeric() || c == '.'))
        .map_or(0, |at| at + text[at..].chars().next().map_or(0, char::len_utf8));
    let word = &text[begins..];
    let letters = word.chars().count();
    let initial = letters == 1 && word.chars().all(|c| c.is_uppercase() && c != 'I');
    // "U.S", "p.m": letters with dots between them.
    let dotted = word.contains('.') && word.split('.').all(|part| part.chars().count() == 1);
    // "am 3. Mai", "1. Preheat the oven".
    let ordinal = letters <= 2 && word.chars().all(|c| c.is_ascii_digit()) && letters > 0;
    initial || dotted || ordinal || KNOWN.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_in_the_middle_of_a_sentence_are_known() {
        for text in ["Dr", "said Mr", "e.g", "J", "U.S", "3", "am 12", "z.B", "(cf"] {
            assert!(is_before_dot(text), "{text}");
        }
        for text in ["end", "I", "2023", "", "door", "yes!"] {
            assert!(!is_before_dot(text), "{text}");
        }
    }
}
