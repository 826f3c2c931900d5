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

const INVOICE: &str = "Smith & Sons\nInvoice no. 44\nBill to: Mrs Jones\nQty Unit price Amount\n2 Chairs 45.00 90.00\nAmount due 90.00";
const LETTER: &str = "Dear Anna,\nI have had your letter, and I am glad that you are well again. My brother asks after you and hopes to see you.\nYours ever,\nTom";
const RECIPE: &str =
    "Pancakes\nIngredients\n2 cups flour\n3 eggs\n500 ml milk\n1 tbsp sugar\nMix, and fry in butter.";

#[test]
fn a_document_of_several_parts_is_split_where_they_change() {
    let pages = [
        page(0, INVOICE),
        page(1, "page two"),
        page(2, LETTER),
        page(3, LETTER),
        page(4, RECIPE),
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
