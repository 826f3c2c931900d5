use super::*;

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
        let scores = scores(text.lines(), None);
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
        let scores = scores(text.lines(), None);
        assert!(scores[0].1 < 0.5, "{text}: {scores:?}");
        let sum: f32 = scores.iter().map(|(_, score)| score).sum();
        assert!(sum < 1.0 && scores.len() == LABELS.len());
    }
}

#[test]
fn a_slim_page_with_a_price_is_rather_a_receipt() {
    let score = |slimness| {
        let scores = scores(["Coffee", "to go", "Total", "3.50"], slimness);
        scores
            .into_iter()
            .find(|(label, _)| *label == "receipt")
            .map_or(0.0, |(_, score)| score)
    };
    assert!(score(Some(2.5)) > score(Some(1.4)) && score(Some(1.4)) == score(None));
}
