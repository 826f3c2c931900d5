//! The shape of the mouth: the 22 visemes of Azure's numbering, by the phone they go with.

/// The viseme of a phone in IPA; none if it is not known. Marks of stress and length do not matter; of a diphthong that
/// has none of its own, the beginning counts.
pub fn viseme(phone: &str) -> Option<u32> {
    let plain: String = phone
        .chars()
        .filter(|c| !matches!(c, 'ˈ' | 'ˌ' | 'ː' | 'ˑ' | '\u{361}' | '\u{303}'))
        .collect();
    let whole = match plain.as_str() {
        "aʊ" => Some(9),
        "ɔɪ" | "ɔy" | "ɔø" => Some(10),
        "aɪ" | "ai" => Some(11),
        "oʊ" | "əʊ" => Some(8),
        "eɪ" => Some(4),
        "tʃ" | "dʒ" | "tɕ" | "dʑ" => Some(16),
        "ts" | "dz" => Some(15),
        "" => Some(0),
        _ => None,
    };
    whole.or_else(|| plain.chars().next().and_then(of_letter))
}

fn of_letter(letter: char) -> Option<u32> {
    Some(match letter {
        'æ' | 'ə' | 'ʌ' | 'ɐ' | 'a' | 'ɵ' | 'ɘ' => 1,
        'ɑ' | 'ɒ' => 2,
        'ɔ' => 3,
        'ɛ' | 'ʊ' | 'e' | 'œ' | 'ø' | 'ɶ' => 4,
        'ɝ' | 'ɜ' | 'ɚ' | 'ɞ' => 5,
        'j' | 'i' | 'ɪ' | 'ɨ' | 'ᵻ' | 'y' | 'ʏ' | 'ʝ' | 'ç' => 6,
        'w' | 'u' | 'ʉ' | 'ɯ' | 'ɥ' | 'ʍ' | 'ɰ' => 7,
        'o' | 'ɤ' => 8,
        'h' | 'ɦ' | 'ħ' | 'ʔ' | 'ʕ' => 12,
        'ɹ' | 'r' | 'ɻ' | 'ʁ' | 'ʀ' | 'ɽ' => 13,
        'l' | 'ɫ' | 'ɭ' | 'ʎ' | 'ɬ' => 14,
        's' | 'z' => 15,
        'ʃ' | 'ʒ' | 'ʂ' | 'ʐ' | 'ɕ' | 'ʑ' => 16,
        'ð' => 17,
        'f' | 'v' | 'ʋ' | 'ɸ' | 'β' => 18,
        'd' | 't' | 'n' | 'θ' | 'ɾ' | 'ɖ' | 'ʈ' | 'ɳ' | 'ɲ' => 19,
        'k' | 'g' | 'ɡ' | 'ŋ' | 'x' | 'ɣ' | 'q' | 'ɢ' | 'χ' | 'c' | 'ɟ' => 20,
        'p' | 'b' | 'm' | 'ɱ' => 21,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_have_the_shape_of_their_kind() {
        for (phone, shape) in [
            ("ˈɑː", 2),
            ("b", 21),
            ("tʃ", 16),
            ("ˌaɪ", 11),
            ("θ", 19),
            ("", 0),
            ("ˈoʊ", 8),
            ("ɡ", 20),
        ] {
            assert_eq!(viseme(phone), Some(shape), "{phone}");
        }
        assert_eq!(viseme("☃"), None);
    }
}
