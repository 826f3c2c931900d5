//! What is written and said otherwise: `say-as`, as text that every engine says as it is meant.
//!
//! Letters, digits and telephone numbers are the same in all languages. What needs words of a language is done for those
//! that are named here, and refused for the others.

/// What is understood, for refusals.
const KINDS: &str = "characters, spell-out, verbatim, digits, telephone, cardinal, number, ordinal, date";
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// What is longer is not a number that is told digit by digit.
const LONGEST: usize = 200;

/// What is said for `written`.
pub(super) fn spoken(
    written: &str,
    kind: &str,
    format: Option<&str>,
    language: &str,
) -> Result<String, String> {
    let written = written.trim();
    if written.is_empty() {
        return Err("a `say-as` has text in it".to_owned());
    }
    if written.chars().count() > LONGEST {
        return Err(format!("a `say-as` has at most {LONGEST} characters"));
    }
    if format.is_some() && kind != "date" {
        return Err(format!("\"{kind}\" has no format; \"date\" has"));
    }
    match kind {
        "characters" | "spell-out" | "verbatim" => Ok(spelt(written)),
        "digits" => Ok(digits(written)),
        "telephone" => Ok(telephone(written)),
        // Engines say numbers as numbers.
        "cardinal" | "number" => whole(written, kind).map(str::to_owned),
        "ordinal" => ordinal(whole(written, kind)?, language),
        "date" => date(written, format.unwrap_or("mdy"), language),
        _ => Err(format!("\"{kind}\" is not understood; {KINDS} are")),
    }
}

/// Each character by itself. A capital is not taken for a word, and a comma keeps it from its neighbours.
fn spelt(written: &str) -> String {
    let characters = written.chars().filter(|character| !character.is_whitespace());
    let capitals: Vec<String> = characters
        .map(|character| character.to_uppercase().collect())
        .collect();
    capitals.join(", ")
}

fn digits(written: &str) -> String {
    let characters = written.chars().filter(|character| !character.is_whitespace());
    characters.map(String::from).collect::<Vec<_>>().join(" ")
}

/// Digit by digit, with a pause where it is written in groups.
fn telephone(written: &str) -> String {
    let groups = written.split(|character: char| !character.is_alphanumeric() && character != '+');
    let groups = groups.filter(|group| !group.is_empty()).map(digits);
    groups.collect::<Vec<_>>().join(", ")
}

fn whole<'a>(written: &'a str, kind: &str) -> Result<&'a str, String> {
    let number = written.strip_prefix(['-', '+']).unwrap_or(written);
    let fits = number.chars().any(|c| c.is_numeric())
        && number
            .chars()
            .all(|c| c.is_numeric() || matches!(c, ',' | '.' | ' '));
    if fits {
        Ok(written)
    } else {
        Err(format!("\"{written}\" is not a number, as \"{kind}\" wants it"))
    }
}

fn ordinal(number: &str, language: &str) -> Result<String, String> {
    let number: u64 = number
        .replace([',', ' '], "")
        .parse()
        .map_err(|_| format!("\"{number}\" is not a whole number, as \"ordinal\" wants it"))?;
    match primary(language).as_str() {
        "en" => Ok(english_ordinal(number)),
        "fr" if number == 1 => Ok("1er".to_owned()),
        "es" | "it" | "pt" => Ok(format!("{number}º")),
        _ => Err(format!(
            "\"ordinal\" is understood in English, Spanish, Italian and Portuguese, not in \"{language}\""
        )),
    }
}

fn english_ordinal(number: u64) -> String {
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// "2023-05-12" as "May 12th, 2023".
fn date(written: &str, format: &str, language: &str) -> Result<String, String> {
    if primary(language) != "en" {
        return Err(format!(
            "\"date\" is understood in English, not in \"{language}\""
        ));
    }
    let fields: Vec<&str> = written
        .split(['-', '/', '.', ' '])
        .filter(|field| !field.is_empty())
        .collect();
    let known = matches!(
        format,
        "mdy" | "dmy" | "ymd" | "ydm" | "md" | "dm" | "ym" | "my" | "y" | "m" | "d"
    );
    if !known {
        return Err(format!(
            "the format \"{format}\" is not known; it is of the letters y, m and d, as \"mdy\""
        ));
    }
    let wrong = || format!("\"{written}\" is not a date of the format \"{format}\"");
    if fields.len() != format.len() {
        return Err(wrong());
    }
    let (mut year, mut month, mut day) = (None, None, None);
    for (letter, field) in format.chars().zip(fields) {
        let number: u32 = field.parse().map_err(|_| wrong())?;
        match letter {
            'y' if (1..=9_999).contains(&number) => year = Some(number.to_string()),
            'm' => month = Some(*MONTHS.get((number as usize).wrapping_sub(1)).ok_or_else(wrong)?),
            'd' if (1..=31).contains(&number) => day = Some(english_ordinal(u64::from(number))),
            _ => return Err(wrong()),
        }
    }
    let front: Vec<String> = month.map(str::to_owned).into_iter().chain(day).collect();
    let mut spoken = front.join(" ");
    if let Some(year) = year {
        if !spoken.is_empty() {
            spoken.push_str(", ");
        }
        spoken.push_str(&year);
    }
    Ok(spoken)
}

fn primary(language: &str) -> String {
    language
        .split('-')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}
