//! What the rules look for. Weights are in natural logarithms of how much likelier a cue makes its label.

use super::features::Features;

/// Something that is said in documents of a kind.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cue {
    /// These words, one after another, anywhere.
    Phrase(&'static str, f32),
    /// A line that begins so.
    Line(&'static str, f32),
}

use Cue::{Line, Phrase};

/// All labels.
pub const LABELS: [&str; 13] = [
    "bank_statement",
    "contract",
    "form",
    "id_document",
    "invoice",
    "letter",
    "meeting_minutes",
    "policy_terms",
    "receipt",
    "recipe",
    "scientific_article",
    "source_code",
    "tax_form",
];

/// What is said in each kind of document: English first, then the plainest words of other languages.
pub(super) const CUES: [(&str, &[Cue]); 12] = [
    (
        "bank_statement",
        &[
            Phrase("account number", 0.8),
            Phrase("statement period", 2.0),
            Phrase("account statement", 2.5),
            Phrase("statement of account", 2.5),
            Phrase("opening balance", 2.0),
            Phrase("closing balance", 2.0),
            Phrase("previous balance", 1.5),
            Phrase("balance forward", 2.0),
            Phrase("chequing", 1.5),
            Phrase("checking account", 1.5),
            Phrase("savings account", 1.5),
            Phrase("debits", 1.2),
            Phrase("credits", 1.2),
            Phrase("deposits", 1.0),
            Phrase("withdrawals", 1.5),
            Phrase("transactions", 0.8),
            Phrase("line of credit", 0.8),
            Phrase("kontoauszug", 3.0),
            Phrase("relevé de compte", 3.0),
            Phrase("extracto de cuenta", 3.0),
        ],
    ),
    (
        "contract",
        &[
            Phrase("this agreement", 2.0),
            Phrase("agreement", 0.8),
            Phrase("contract", 0.8),
            Phrase("hereby", 0.8),
            Phrase("whereas", 1.5),
            Phrase("witnesseth", 2.0),
            Phrase("in witness whereof", 2.5),
            Phrase("the parties", 1.5),
            Phrase("each party", 1.0),
            Phrase("hereto", 1.0),
            Phrase("hereunder", 1.0),
            Phrase("hereinafter", 1.5),
            Phrase("thereof", 0.6),
            Phrase("herein", 0.6),
            Phrase("governing law", 1.0),
            Phrase("indemnify", 1.0),
            Phrase("liquidated damages", 2.0),
            Phrase("the seller", 1.0),
            Phrase("the buyer", 1.0),
            Phrase("the purchaser", 1.0),
            Phrase("the lessee", 1.5),
            Phrase("the tenant", 1.0),
            Phrase("the landlord", 1.0),
            Phrase("the borrower", 1.2),
            Phrase("the lender", 1.2),
            Phrase("licensee", 0.8),
            Phrase("effective date", 0.6),
            Phrase("pursuant to", 0.6),
            Phrase("in the event that", 0.6),
            Phrase("vertragsparteien", 2.0),
            Phrase("kaufvertrag", 3.0),
            Phrase("mietvertrag", 3.0),
            Phrase("合同", 2.0),
        ],
    ),
    (
        "form",
        &[
            Phrase("application form", 2.5),
            Phrase("registration form", 2.5),
            Phrase("booking form", 2.5),
            Phrase("order form", 2.0),
            Phrase("please print", 1.5),
            Phrase("please complete", 1.5),
            Phrase("please fill", 1.5),
            Phrase("block capitals", 2.0),
            Phrase("for office use only", 2.5),
            Phrase("for official use", 1.5),
            Phrase("applicant", 1.0),
            Phrase("first name", 1.0),
            Phrase("last name", 1.0),
            Phrase("date of birth", 0.8),
            Phrase("phone number", 0.5),
            Phrase("signature", 0.8),
            Phrase("received from", 1.0),
            Phrase("your reference", 0.8),
            Phrase("tick", 0.8),
            Phrase("check one", 1.2),
            Phrase("antrag auf", 2.0),
            Phrase("formulaire", 2.0),
            Phrase("formulario", 2.0),
        ],
    ),
    (
        "id_document",
        &[
            Phrase("passport", 1.5),
            Phrase("passeport", 1.5),
            Phrase("reisepass", 2.0),
            Phrase("identity card", 2.5),
            Phrase("personalausweis", 3.0),
            Phrase("carte nationale didentité", 3.0),
            Phrase("driver license", 2.5),
            Phrase("drivers license", 2.5),
            Phrase("driving licence", 2.5),
            Phrase("führerschein", 2.5),
            Phrase("nationality", 0.8),
            Phrase("place of birth", 1.2),
            Phrase("date of expiry", 1.5),
            Phrase("given names", 1.2),
        ],
    ),
    (
        "invoice",
        &[
            Phrase("invoice", 2.0),
            Phrase("invoice number", 2.0),
            Phrase("invoice no", 2.0),
            Phrase("invoice date", 2.0),
            Phrase("due date", 0.8),
            Phrase("bill to", 1.5),
            Phrase("ship to", 0.8),
            Phrase("vat id", 0.8),
            Phrase("unit price", 1.2),
            Phrase("qty", 0.6),
            Phrase("amount due", 1.0),
            Phrase("balance due", 1.0),
            Phrase("payment terms", 0.8),
            Phrase("purchase order", 0.8),
            Phrase("iban", 0.4),
            Phrase("rechnung", 2.0),
            Phrase("rechnungsnummer", 2.5),
            Phrase("facture", 2.0),
            Phrase("factura", 2.0),
            Phrase("fattura", 2.0),
            Phrase("发票", 2.5),
            Phrase("發票", 2.5),
        ],
    ),
    (
        "letter",
        &[
            Line("dear", 3.0),
            Line("sehr geehrte", 3.5),
            Line("sehr geehrter", 3.5),
            Line("cher", 2.0),
            Line("chère", 2.0),
            Line("madame, monsieur", 3.0),
            Line("estimado", 3.0),
            Line("estimada", 3.0),
            Line("sincerely", 2.5),
            Line("yours", 2.5),
            Line("your obedient", 2.5),
            Line("best regards", 2.5),
            Line("kind regards", 2.5),
            Line("regards", 1.5),
            Line("respectfully", 2.0),
            Line("mit freundlichen", 3.0),
            Line("cordialement", 3.0),
            Line("atentamente", 3.0),
            Phrase("your letter", 1.5),
            Phrase("i remain", 1.5),
            Phrase("i am yours", 1.5),
            Phrase("sir", 0.6),
            Phrase("madam", 0.6),
        ],
    ),
    (
        "meeting_minutes",
        &[
            Phrase("minutes of", 2.5),
            Phrase("meeting minutes", 3.0),
            Phrase("meeting notes", 3.0),
            Phrase("meeting", 1.2),
            Phrase("agenda", 1.8),
            Phrase("attendees", 2.5),
            Phrase("in attendance", 2.0),
            Line("attendance", 1.5),
            Line("attending", 2.0),
            Line("present:", 1.5),
            Line("notes", 0.8),
            Phrase("action items", 2.0),
            Phrase("action item", 1.5),
            Phrase("watch the recording", 1.5),
            Phrase("apologies", 0.8),
            Phrase("adjourned", 2.0),
            Phrase("seconded", 1.5),
            Phrase("motion", 0.6),
            Phrase("quorum", 1.2),
            Phrase("next meeting", 1.5),
            Phrase("next steps", 0.8),
            Phrase("open questions", 0.6),
            Phrase("tagesordnung", 2.5),
            Phrase("teilnehmer", 1.5),
            Phrase("ordre du jour", 2.5),
        ],
    ),
    (
        "policy_terms",
        &[
            Phrase("terms of service", 3.0),
            Phrase("terms of use", 3.0),
            Phrase("terms and conditions", 2.5),
            Phrase("privacy policy", 2.5),
            Phrase("privacy", 0.8),
            Phrase("policy", 1.0),
            Phrase("policies", 0.8),
            Phrase("our services", 1.2),
            Phrase("the services", 0.8),
            Phrase("your account", 1.2),
            Phrase("personal data", 1.2),
            Phrase("personal information", 1.2),
            Phrase("cookies", 1.2),
            Phrase("you agree", 1.2),
            Phrase("you may not", 1.2),
            Phrase("third parties", 0.8),
            Phrase("third party", 0.5),
            Phrase("we may", 0.8),
            Phrase("we collect", 1.5),
            Phrase("we will", 0.5),
            Phrase("we do not", 0.5),
            Phrase("cancellation", 0.5),
            Phrase("gdpr", 1.5),
            Phrase("copyright", 0.5),
            Phrase("datenschutz", 2.5),
        ],
    ),
    (
        "receipt",
        &[
            Phrase("receipt", 1.2),
            Phrase("thank you", 1.0),
            Phrase("cash", 0.8),
            Phrase("change", 0.5),
            Phrase("subtotal", 1.5),
            Phrase("sub total", 1.5),
            Phrase("total", 0.5),
            Phrase("tax", 0.4),
            Phrase("visa", 0.6),
            Phrase("mastercard", 0.8),
            Phrase("cashier", 1.5),
            Phrase("server", 0.6),
            Phrase("guests", 0.6),
            Phrase("gratuity", 1.2),
            Phrase("tip", 0.6),
            Phrase("store", 0.4),
            Phrase("kassenbon", 2.5),
            Phrase("quittung", 2.5),
            Phrase("vielen dank für ihren", 1.5),
            Phrase("merci de votre visite", 2.5),
            Phrase("小票", 2.0),
        ],
    ),
    (
        "recipe",
        &[
            Phrase("ingredients", 2.5),
            Phrase("zutaten", 2.5),
            Phrase("ingrédients", 2.5),
            Phrase("ingredientes", 2.5),
            Phrase("directions", 1.0),
            Phrase("zubereitung", 2.0),
            Phrase("prep time", 2.0),
            Phrase("cook time", 2.0),
            Phrase("servings", 1.5),
            Phrase("serves", 1.0),
            Phrase("preheat", 1.5),
            Phrase("recipe", 1.0),
        ],
    ),
    (
        "scientific_article",
        &[
            Line("abstract", 2.0),
            Phrase("in this paper", 2.0),
            Phrase("this paper", 1.2),
            Phrase("we propose", 1.5),
            Phrase("we present", 1.2),
            Phrase("we show", 1.0),
            Phrase("we introduce", 1.2),
            Phrase("et al", 1.5),
            Phrase("arxiv", 1.5),
            Phrase("doi", 0.8),
            Line("references", 0.8),
            Phrase("dataset", 1.0),
            Phrase("related work", 1.5),
            Phrase("state of the art", 1.0),
            Phrase("it is found that", 1.5),
            Phrase("it is shown that", 1.5),
            Phrase("is shown that", 0.8),
            Phrase("are presented", 1.0),
            Phrase("is presented", 1.0),
            Phrase("was investigated", 1.2),
            Phrase("is investigated", 1.2),
            Phrase("an investigation", 1.2),
            Phrase("are discussed", 1.0),
            Phrase("numerical", 0.8),
            Phrase("theoretical", 0.8),
            Phrase("theory", 0.8),
            Phrase("experimental", 1.0),
            Phrase("experiments", 0.8),
            Phrase("hypothesis", 0.8),
            Phrase("equations", 0.8),
        ],
    ),
    (
        "tax_form",
        &[
            Phrase("omb no", 3.0),
            Phrase("internal revenue service", 2.5),
            Phrase("department of the treasury", 2.5),
            Phrase("irs gov", 1.5),
            Phrase("tax return", 1.5),
            Phrase("tax withholding", 1.5),
            Phrase("taxpayer identification", 2.0),
            Phrase("under penalties of perjury", 2.0),
            Phrase("taxable income", 1.2),
            Phrase("steuererklärung", 3.0),
            Phrase("finanzamt", 2.0),
            Phrase("hm revenue", 2.0),
        ],
    ),
];

/// What tells a kind by its shape rather than its words.
pub(super) fn shapes(features: &Features) -> Vec<(&'static str, f32)> {
    let mut found = Vec::new();
    if features.mrz {
        found.push(("id_document", 8.0));
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
