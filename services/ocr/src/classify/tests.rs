use super::*;
use crate::domain::{Line, PageReading};

fn page(number: u32, text: &str) -> Page {
    let lines = text
        .lines()
        .map(|text| Line {
            text: text.to_owned(),
            ..Line::default()
        })
        .collect();
    Page {
        number,
        reading: PageReading {
            width: 1_000,
            height: 1_400,
            lines,
            ..PageReading::default()
        },
        ..Page::default()
    }
}

/// One small document of each kind, none of them from the material that the rules are measured on.
const DOCUMENTS: [(&str, &str); 13] = [
    (
        "bank_statement",
        "First Bank\nAccount statement\nAccount number 12 3456\nOpening balance 120.00\nRent -80.00\nClosing balance 40.00",
    ),
    (
        "contract",
        "Lease agreement\nThis agreement is made between the landlord and the tenant.\nThe tenant shall pay the rent, and the parties hereby agree that the landlord shall keep the roof whole.",
    ),
    (
        "form",
        "Membership\nApplication form\nPlease print in block capitals\nFirst name:\nLast name:\nDate of birth:\nSignature ______",
    ),
    (
        "id_document",
        "UTOPIA\nP<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10",
    ),
    (
        "invoice",
        "Smith & Sons\nInvoice no. 44\nBill to: Mrs Jones\nQty Unit price Amount\n2 Chairs 45.00 90.00\nAmount due 90.00",
    ),
    (
        "letter",
        "Dear Anna,\nI have had your letter, and I am glad that you are well again. My brother asks after you and hopes to see you.\nYours ever,\nTom",
    ),
    (
        "meeting_minutes",
        "Garden club\nMinutes of the meeting of 3 May\nAttendees: Ann, Bob, Cleo\nAgenda\n1. The pond\nAction items: Bob buys a pump\nNext meeting in June",
    ),
    (
        "policy_terms",
        "Terms of service\nBy using our services you agree to these terms. You may not resell your account. We may change these terms; we collect cookies as our privacy policy says.",
    ),
    (
        "receipt",
        "CORNER CAFE\nTable 4  Server: Kim\nCoffee 3.50\nCake 4.20\nTea 2.80\nSubtotal 10.50\nTax 0.84\nTotal 11.34\nCash 20.00\nThank you!",
    ),
    (
        "recipe",
        "Pancakes\nIngredients\n2 cups flour\n3 eggs\n500 ml milk\n1 tbsp sugar\nMix, and fry in butter.",
    ),
    (
        "scientific_article",
        "On the drying of paint\nAbstract\nIn this paper we present experiments on the drying of paint. It is shown that theory and experimental data agree (Smith et al. 1999).",
    ),
    (
        "source_code",
        "fn main() {\n    let names = [\"a\", \"b\"];\n    for name in names {\n        println!(\"{name}\");\n    }\n}",
    ),
    (
        "tax_form",
        "Form 1234\nDepartment of the Treasury\nInternal Revenue Service\nOMB No. 1545-0000\nTaxable income\nUnder penalties of perjury, I declare",
    ),
];

#[test]
fn each_kind_is_known_by_its_own_words() {
    for (label, text) in DOCUMENTS {
        let scores = scores(&[&page(0, text)]);
        assert_eq!(scores[0].0, label, "{scores:?}");
        assert!(scores[0].1 > 0.5, "{scores:?}");
    }
}

#[test]
fn what_says_nothing_is_nothing() {
    for text in [
        "",
        "7",
        "Hello world",
        "The quick brown fox jumps over the lazy dog and runs into the woods.",
    ] {
        let scores = scores(&[&page(0, text)]);
        assert!(scores[0].1 < 0.5, "{text}: {scores:?}");
        let sum: f32 = scores.iter().map(|(_, score)| score).sum();
        assert!(sum < 1.0 && scores.len() == LABELS.len());
    }
}

#[test]
fn a_document_of_several_parts_is_split_where_they_change() {
    let text = |label: &str| {
        DOCUMENTS
            .iter()
            .find(|(name, _)| *name == label)
            .expect("known")
            .1
    };
    let pages = [
        page(0, text("invoice")),
        page(1, "page two"),
        page(2, text("letter")),
        page(3, text("letter")),
        page(4, text("recipe")),
    ];
    let parts: Vec<(Range<u32>, &str)> = parts(&pages)
        .into_iter()
        .map(|(range, scores)| (range, scores[0].0))
        .collect();
    assert_eq!(parts, [(0..2, "invoice"), (2..4, "letter"), (4..5, "recipe")]);
}

#[test]
fn labels_and_models_that_there_are_not_are_refused() {
    let parse = |request| Wanted::parse(request, String::new());
    let request = pb::ClassifyDocumentRequest {
        model: "layoutlm".to_owned(),
        ..Default::default()
    };
    assert_eq!(parse(request).expect_err("unknown").kind, Kind::NotFound);
    let request = pb::ClassifyDocumentRequest {
        labels: vec!["invoice".to_owned(), "poem".to_owned()],
        min_score: Some(f32::NAN),
        ..Default::default()
    };
    let fields: Vec<_> = parse(request)
        .expect_err("refused")
        .violations
        .into_iter()
        .map(|violation| violation.field)
        .collect();
    assert_eq!(fields, ["labels[1]", "min_score"]);
}
