//! Numbers are those of sentence-transformers and transformers (`fixtures/make_encoders.py` makes the goldens).

use polyphony_encoders::{EmbedOptions, Pooling, Role, Truncation};
use polyphony_inference::Cancel;
use serde_json::Value;

use super::support::{cross_encoder, embedder, fixture, golden, minilm, numbers, texts, zero_shot};

/// The farthest that two numbers may lie apart.
fn farthest(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter()
        .zip(theirs)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn cut(truncation: Truncation) -> EmbedOptions {
    EmbedOptions {
        truncation,
        ..EmbedOptions::default()
    }
}

#[test]
fn vectors_of_minilm_equal_those_of_sentence_transformers() {
    let (model, golden) = (minilm(), golden("minilm"));
    let texts = texts(&golden["texts"]);
    let bytes = std::fs::read(fixture("minilm").join("vectors.bin")).expect("golden vectors");
    let theirs: Vec<f32> = bytes
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
        .collect();
    let info = model.info();
    assert_eq!(
        (info.dimensions, info.max_tokens, info.pooling),
        (384, 256, Pooling::Mean)
    );

    let embedded = model
        .embed(&texts, &cut(Truncation::Right), &Cancel::default())
        .expect("vectors");
    let ids = golden["ids"].as_array().expect("a list");
    for ((ours, theirs), ids) in embedded.iter().zip(theirs.chunks_exact(384)).zip(ids) {
        assert!(farthest(&ours.vector, theirs) <= 1e-4);
        assert!(cosine(&ours.vector, theirs) >= 0.999_99);
        assert_eq!(ours.tokens, ids.as_array().expect("ids").len());
    }
    let truncated: Vec<bool> = embedded.iter().map(|one| one.truncated).collect();
    assert_eq!(
        truncated,
        [
            false, false, false, false, false, false, false, false, false, true
        ]
    );
}

#[test]
fn tokens_of_minilm_equal_those_of_transformers_and_stand_where_they_say() {
    let (model, golden) = (minilm(), golden("minilm"));
    for (text, ids) in texts(&golden["texts"])
        .into_iter()
        .zip(golden["ids"].as_array().expect("a list"))
    {
        let tokens = model.tokenizer().tokens(text, true).expect("tokens");
        let theirs: Vec<u64> = ids
            .as_array()
            .expect("ids")
            .iter()
            .filter_map(Value::as_u64)
            .collect();
        let ours: Vec<u64> = tokens.iter().map(|token| u64::from(token.id)).collect();
        // Theirs are cut.
        let kept = theirs.len().min(ours.len()) - 1;
        assert_eq!(ours[..kept], theirs[..kept]);

        assert_eq!(model.tokenizer().count(text).expect("a number"), tokens.len() - 2);
        assert_eq!((&tokens[0].range, tokens[0].text.as_str()), (&None, "[CLS]"));
        for token in &tokens[1..tokens.len() - 1] {
            let range = token.range.clone().expect("a place");
            let there = text[range].to_lowercase();
            let plain = token.text.trim_start_matches("##");
            assert!(
                token.text == "[UNK]" || there == plain || !there.is_ascii(),
                "{there:?} {plain:?}"
            );
        }
    }
    let known = |text: &str| model.tokenizer().known(text).expect("a share");
    assert_eq!(
        (known("Where is Berlin?"), known(""), known("🙂")),
        (1.0, 1.0, 0.0)
    );
    assert!((0.2..0.8).contains(&known("有多少人住在柏林？")));
    let joined = model
        .tokenizer()
        .join(&[101, 7592, 2088, 102], false)
        .expect("a text");
    assert_eq!(joined, "hello world");
}

#[test]
fn vectors_do_not_depend_on_the_company_in_which_texts_come() {
    let model = minilm();
    let texts: Vec<String> = (0..40)
        .map(|n| "one two three four ".repeat(1 + n * 7 % 13))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let embed = |texts: &[&str]| {
        model
            .embed(texts, &EmbedOptions::default(), &Cancel::default())
            .expect("vectors")
    };
    let together = embed(&texts);
    for (text, together) in texts.iter().zip(&together) {
        let alone = &embed(&[text])[0];
        assert!(farthest(&alone.vector, &together.vector) <= 1e-5);
        assert_eq!(alone.tokens, together.tokens);
    }
}

#[test]
fn an_optimum_export_with_cls_pooling_gives_the_vectors_of_transformers() {
    let (model, golden) = (embedder("cls"), golden("cls"));
    assert_eq!(
        (model.info().pooling, model.info().max_tokens),
        (Pooling::Cls, 24)
    );
    let texts = texts(&golden["texts"]);
    for (name, role, truncation) in [
        ("right", Role::Document, Truncation::Right),
        ("left", Role::Plain, Truncation::Left),
        ("query", Role::Query, Truncation::Right),
    ] {
        let options = EmbedOptions {
            role,
            ..cut(truncation)
        };
        let ours = model
            .embed(&texts, &options, &Cancel::default())
            .expect("vectors");
        for (ours, theirs) in ours.iter().zip(golden[name].as_array().expect("rows")) {
            assert!(farthest(&ours.vector, &numbers(theirs)) <= 1e-5, "{name}");
        }
    }
}

#[test]
fn scores_of_pairs_equal_those_of_transformers() {
    for name in ["cross-bert", "cross-xlmr"] {
        let (model, golden) = (cross_encoder(name), golden(name));
        let (query, passages) = (
            golden["query"].as_str().expect("a query"),
            texts(&golden["passages"]),
        );
        for (side, truncation) in [("right", Truncation::Right), ("left", Truncation::Left)] {
            let ours = model
                .score(query, &passages, truncation, &Cancel::default())
                .expect("scores");
            let logits: Vec<f32> = ours.iter().map(|one| one.logit).collect();
            assert!(
                farthest(&logits, &numbers(&golden[side])) <= 1e-4,
                "{name} {side}"
            );
            assert!(
                ours.iter()
                    .all(|one| (0.0..=1.0).contains(&one.score) && one.tokens <= 24)
            );
            assert!(ours.iter().any(|one| one.truncated));
        }
    }
}

#[test]
fn labels_fit_as_the_logits_of_transformers_say() {
    let (model, golden) = (zero_shot("nli"), golden("nli"));
    let text = golden["text"].as_str().expect("a text");
    let sentence = golden["sentence"].as_str().expect("a sentence");
    let fits = model
        .classify(text, &texts(&golden["labels"]), sentence, &Cancel::default())
        .expect("fits");
    let shares: Vec<f32> = fits.iter().map(|fit| fit.share).collect();
    let alone: Vec<f32> = fits.iter().map(|fit| fit.alone).collect();
    assert!(farthest(&shares, &numbers(&golden["share"])) <= 1e-5);
    assert!(farthest(&alone, &numbers(&golden["alone"])) <= 1e-5);
}
