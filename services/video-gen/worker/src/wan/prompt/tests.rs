//! Prompts are cleaned as Python cleans them. The right sides were printed by diffusers 0.42.1 without ftfy.

use super::*;

#[test]
fn prompts_are_cleaned_as_diffusers_does() {
    let cases = [
        ("  a   cat\t\n on a mat ", "a cat on a mat"),
        ("fish &amp; chips", "fish & chips"),
        ("fish &amp;amp; chips", "fish & chips"),
        ("&lt;b&gt;bold&lt;/b&gt;", "<b>bold</b>"),
        ("&notit; &notin; &not", "¬it; ∉ ¬"),
        (
            "&#39;quoted&#x27; &#0; &#128; &#x110000;",
            "'quoted' \u{fffd} € \u{fffd}",
        ),
        ("a &# b &unknown; c & d", "a &# b &unknown; c & d"),
        ("&acE;", "∾̳"),
        ("a\u{a0}b\u{3000}c\u{1c}d", "a b c d"),
        ("色调艳丽，过曝", "色调艳丽，过曝"),
        ("", ""),
    ];
    for (prompt, cleaned) in cases {
        assert_eq!(clean(prompt), cleaned, "{prompt:?}");
    }
}

#[test]
fn bytes_are_tokens_of_the_vocabulary_and_end_once() {
    let prompter = Prompter::Bytes { vocab_size: 256 };
    let long = "é".repeat(4000);
    for prompt in ["", "a cat", &long] {
        let tokens: Vec<i64> =
            Vec::try_from(prompter.tokens(prompt, Device::Cpu).unwrap().flatten(0, -1)).unwrap();
        assert!(tokens.len() as i64 <= TEXT_TOKENS);
        assert!(tokens.iter().all(|token| (0..256).contains(token)));
        assert_eq!(tokens.iter().filter(|token| **token == END).count(), 1);
        assert_eq!(tokens.last(), Some(&END));
    }
}
