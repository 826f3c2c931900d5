use super::*;

const INVOICE: &str = "Smith & Sons\nInvoice no. 44\nBill to: Mrs Jones\nQty Unit price Amount\n2 Chairs 45.00 90.00\nAmount due 90.00";
const NOTHING: &str = "The quick brown fox jumps over the lazy dog.";

#[derive(Debug)]
struct Fixed(Vec<f32>);

impl ZeroShot for Fixed {
    fn weigh(&self, _: &str, _: &[String]) -> Result<Vec<f32>, String> {
        Ok(self.0.clone())
    }
}

fn examples() -> Vec<(String, Vec<f32>)> {
    let example = |label: &str, vector: [f32; 3]| (label.to_owned(), vector.to_vec());
    vec![
        example("poem", [0.9, 0.1, 0.0]),
        example("poem", [0.8, 0.0, 0.2]),
        example("law", [0.0, 0.9, 0.1]),
        example("law", [0.1, 0.8, 0.0]),
        example("law", [0.2, 0.9, 0.1]),
    ]
}

#[test]
fn the_client_decides_before_rules_and_rules_before_models() {
    let classifier = Classifier::train("m", &examples()).expect("trains");
    let poem = [0.9, 0.05, 0.1];
    let deciders = Deciders {
        classifier: Some((&classifier, &poem)),
        zero_shot: None,
    };
    let source = |given, text| decide(given, text, &deciders).expect("decides");
    let given = source("memo", INVOICE);
    assert_eq!(
        (given.name.as_str(), given.confidence, given.source),
        ("memo", 1.0, DocTypeSource::Given)
    );
    let rule = source("", INVOICE);
    assert_eq!(
        (rule.name.as_str(), rule.source),
        ("invoice", DocTypeSource::Rule)
    );
    assert!(rule.confidence >= SURE_RULE);
    let trained = source("", NOTHING);
    assert_eq!(
        (trained.name.as_str(), trained.source),
        ("poem", DocTypeSource::Classifier)
    );
}

#[test]
fn a_zero_shot_model_is_asked_last_and_nobody_decides_when_it_is_not_sure() {
    let labels = ["memo".to_owned(), "log".to_owned()];
    let weighed = |weights| {
        let model = Fixed(weights);
        let deciders = Deciders {
            classifier: None,
            zero_shot: Some((&model, &labels)),
        };
        decide("", NOTHING, &deciders).expect("decides")
    };
    let sure = weighed(vec![0.2, 0.8]);
    assert_eq!(
        (sure.name.as_str(), sure.source),
        ("log", DocTypeSource::ZeroShot)
    );
    let unsure = weighed(vec![0.2, 0.3]);
    assert_eq!(
        (unsure.name.as_str(), unsure.source),
        (UNKNOWN, DocTypeSource::ZeroShot)
    );
}

#[test]
fn training_is_repeatable_and_finds_the_minimum_of_its_loss() {
    let classifier = Classifier::train("m", &examples()).expect("trains");
    assert_eq!(classifier, Classifier::train("m", &examples()).expect("trains"));
    for (label, vector) in examples() {
        let (found, probability) = classifier.classify(&vector).expect("fits");
        assert!(found == label && probability > 0.8, "{found} {probability}");
    }
    // Where no training example is, it is not sure.
    let (_, between) = classifier.classify(&[0.5, 0.47, 0.05]).expect("fits");
    assert!(between < 0.75, "{between}");
    // Biases are free, so kinds of different sizes that say nothing are alike.
    let same = |label: &str| (label.to_owned(), vec![1.0, 0.0]);
    let even = Classifier::train(
        "m",
        &[same("a"), same("a"), same("b"), same("b"), same("b"), same("b")],
    );
    let (_, probability) = even
        .expect("trains")
        .classify(&[1.0, 0.0])
        .map(|(_, p)| ((), p))
        .expect("fits");
    assert!((probability - 0.5).abs() < 1e-3, "{probability}");
}

#[test]
fn what_cannot_be_trained_or_read_says_why() {
    let one = [("a".to_owned(), vec![1.0]), ("a".to_owned(), vec![0.5])];
    assert_eq!(Classifier::train("m", &one), Err(TrainError::OneKind));
    let mut few = examples();
    few.push(("log".to_owned(), vec![0.0, 0.0, 1.0]));
    let error = Classifier::train("m", &few).expect_err("too few");
    assert_eq!(error.to_string(), "\"log\" has 1 documents; give at least 2");
    let mut uneven = examples();
    uneven[0].1.pop();
    assert_eq!(Classifier::train("m", &uneven), Err(TrainError::Dimensions));

    let classifier = Classifier::train("m", &examples()).expect("trains");
    assert_eq!(classifier.classify(&[1.0]), None);
    let json = serde_json::to_vec(&classifier).expect("writes");
    assert_eq!(Classifier::from_json(&json), Ok(classifier));
    assert!(
        Classifier::from_json(b"{\"model\":\"m\",\"labels\":[\"a\",\"b\"],\"weights\":[[1,2],[1]]}").is_err()
    );
    assert!(Classifier::from_json(b"[]").is_err());
}

#[test]
fn only_the_beginning_of_one_endless_line_counts() {
    let invoice = "Invoice no. 44 Bill to: Mrs Jones Qty Unit price Amount due 90.00 ";
    let far = "word ".repeat(BYTES / 5 + 1) + &invoice.repeat(10);
    let none = Deciders::default();
    assert_eq!(decide("", &far, &none).expect("decided").name, UNKNOWN);
    assert_eq!(
        decide("", &invoice.repeat(10), &none).expect("decided").name,
        "invoice"
    );
    assert_eq!(upto("äö", 3), "ä");
}
