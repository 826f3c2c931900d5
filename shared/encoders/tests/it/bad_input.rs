//! Bad input gets one clear error that names the text and the remedy.

use polyphony_encoders::{
    CrossEncoder, EmbedOptions, Embedder, Error, Folder, Input, LONGEST_TEXT, Problem, Truncation,
};
use polyphony_error::{Fault, Kind};
use polyphony_inference::{Cancel, Runtime};

use super::support::{config, cross_encoder, embedder, fixture, folder};

fn embed(texts: &[&str], options: &EmbedOptions) -> Result<usize, Error> {
    let done = embedder("cls").embed(texts, options, &Cancel::default())?;
    Ok(done.len())
}

#[test]
fn texts_that_cannot_be_taken_are_named() {
    let huge = "a ".repeat(LONGEST_TEXT / 2 + 1);
    let long = "the key is under the mat ".repeat(9);
    for (texts, input, said) in [
        (&["a", ""][..], Input::Text(1), "the text is empty"),
        (&[" \n\t"][..], Input::Text(0), "the text is empty"),
        (
            &["a", "a", huge.as_str()][..],
            Input::Text(2),
            "cut it into parts",
        ),
        (&[long.as_str()][..], Input::Text(0), "the model takes 24"),
    ] {
        let error = embed(texts, &EmbedOptions::default()).expect_err("refused");
        assert!(
            matches!(&error, Error::Input { input: named, .. } if *named == input),
            "{error}"
        );
        let fault = Fault::from(error);
        assert_eq!(fault.kind, Kind::InvalidArgument);
        assert_eq!(fault.violations[0].field, input.to_string());
        assert!(fault.message.contains(said), "{fault}");
    }
    assert_eq!(embed(&[], &EmbedOptions::default()).expect("nothing to do"), 0);
}

#[test]
fn a_prompt_does_not_make_an_empty_text_whole() {
    let options = EmbedOptions {
        role: polyphony_encoders::Role::Query,
        ..EmbedOptions::default()
    };
    let error = embed(&[""], &options).expect_err("refused");
    assert!(
        matches!(
            error,
            Error::Input {
                problem: Problem::Empty,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn fewer_dimensions_are_refused_by_a_model_that_was_not_trained_for_them() {
    for (wanted, fits) in [(32, true), (16, false), (0, false), (33, false)] {
        let options = EmbedOptions {
            dimensions: Some(wanted),
            ..EmbedOptions::default()
        };
        match embed(&["a"], &options) {
            Ok(_) => assert!(fits),
            Err(error) => {
                assert!(!fits);
                let fault = Fault::from(error);
                assert_eq!(fault.violations[0].field, "dimensions");
                assert!(fault.message.contains("it gives 32"), "{fault}");
            }
        }
    }
}

#[test]
fn pairs_are_refused_by_the_text_at_fault() {
    let model = cross_encoder("cross-bert");
    let long = "the key is under the mat ".repeat(9);
    let score = |query: &str, passages: &[&str], truncation| {
        model
            .score(query, passages, truncation, &Cancel::default())
            .expect_err("refused")
    };
    for (error, input) in [
        (score("", &["a"], Truncation::Right), Input::Query),
        (score("a", &["a", " "], Truncation::Right), Input::Text(1)),
        (score("a", &["a", &long], Truncation::Refuse), Input::Text(1)),
    ] {
        assert!(
            matches!(&error, Error::Input { input: named, .. } if *named == input),
            "{error}"
        );
    }
}

#[test]
fn a_cancelled_call_ends_as_cancelled() {
    let cancel = Cancel::default();
    cancel.cancel();
    let embedding = embedder("cls")
        .embed(&["a"], &EmbedOptions::default(), &cancel)
        .expect_err("cancelled");
    assert!(embedding.is_cancelled(), "{embedding}");
    assert_eq!(Fault::from(embedding).kind, Kind::Cancelled);
}

#[test]
fn a_model_that_is_not_what_it_is_taken_for_is_refused_with_what_was_expected() {
    let (config, name) = (config(), "x");
    let runtime = Runtime::new(&config);
    let as_embedder = |folder: &Folder| Embedder::load(folder, name, name, &runtime, &config).map(drop);
    let as_reranker = |folder: &Folder| CrossEncoder::load(folder, name, name, &runtime, &config).map(drop);
    let without_tokenizer = Folder::new(fixture("cls"), ["onnx/model.onnx"]).expect("a graph");
    for (refused, said) in [
        (
            as_embedder(&folder("cross-bert")),
            "expected sentence_embedding or last_hidden_state",
        ),
        (as_reranker(&folder("cls")), "expected logits"),
        (as_reranker(&folder("nli")), "a reranker gives one"),
        (as_embedder(&without_tokenizer), "no tokenizer.json"),
    ] {
        let error = refused.expect_err("refused");
        assert!(error.to_string().contains(said), "{error}");
    }
}
