//! What the rules look at: the words of a document, and the shape of its lines.

use crate::mrz;

/// A document as the rules see it.
#[derive(Debug, Default)]
pub(crate) struct Features {
    /// Words in lower case, parted by single spaces, with one at each end; signs are spaces too.
    words: String,
    /// The same of the first lines.
    head: String,
    /// Letters and figures alone: what is read without spaces.
    squashed: String,
    /// Each line in lower case.
    lines: Vec<String>,
    /// How many words there are.
    pub(crate) count: usize,
    /// The share of lines that end with an amount of money.
    pub(crate) priced: f32,
    /// How many they are.
    pub(crate) prices: usize,
    /// The share of lines that end with a colon, or leave room to fill in.
    pub(crate) blanks: f32,
    /// The share of lines that look like code.
    pub(crate) code: f32,
    /// The share of its signs among all that is written.
    pub(crate) signs: f32,
    /// Amounts with a unit of the kitchen.
    pub(crate) measures: usize,
    /// The median line has so many characters.
    pub(crate) median_line: usize,
    /// How much higher than wide the first page is.
    pub(crate) slim: f32,
    /// A machine-readable zone whose check figures are right.
    pub(crate) mrz: bool,
}

/// Lines that are the head of a document.
const HEAD: usize = 6;
/// Phrases of so many letters are looked for without spaces too.
const LONG: usize = 8;
/// Units of the kitchen.
const UNITS: [&str; 22] = [
    "tbsp", "tsp", "cup", "cups", "oz", "ounce", "ounces", "lb", "lbs", "g", "gr", "kg", "ml", "dl", "l",
    "liter", "el", "tl", "pinch", "clove", "cloves", "slices",
];

// === impl Features ===

impl Features {
    pub(crate) fn of_lines(lines: &[&str]) -> Self {
        if lines.is_empty() {
            return Self::default();
        }
        let words = normal(lines);
        let share = |test: &dyn Fn(&str) -> bool| {
            lines.iter().filter(|line| test(line)).count() as f32 / lines.len() as f32
        };
        let prices = lines.iter().filter(|line| ends_with_price(line)).count();
        let mut lengths: Vec<usize> = lines.iter().map(|line| line.chars().count()).collect();
        lengths.sort_unstable();
        let all: usize = lengths.iter().sum();
        let is_sign = |character: &char| "{}[]();=<>+*/&|!_#\"'\\".contains(*character);
        let signs = lines.iter().flat_map(|line| line.chars()).filter(is_sign).count();
        Self {
            head: normal(&lines[..lines.len().min(HEAD)]),
            squashed: words.replace(' ', ""),
            lines: lines.iter().map(|line| line.trim().to_lowercase()).collect(),
            count: words.split_whitespace().count(),
            priced: prices as f32 / lines.len() as f32,
            prices,
            blanks: share(&|line| {
                let line = line.trim_end();
                line.ends_with(':') || line.contains("___") || line.contains("....") || line.contains('☐')
            }),
            code: share(&is_code),
            signs: signs as f32 / all.max(1) as f32,
            measures: measures(&words),
            median_line: lengths[lengths.len() / 2],
            slim: 0.0,
            mrz: mrz::is_in(lines),
            words,
        }
    }

    /// Whether the phrase stands in the document.
    pub(crate) fn has(&self, phrase: &str) -> bool {
        let long = phrase.chars().filter(|character| *character != ' ').count() >= LONG;
        stands_in(&self.words, phrase) || (long && self.squashed.contains(&phrase.replace(' ', "")))
    }

    /// Whether it stands in the first lines.
    pub(crate) fn has_at_head(&self, phrase: &str) -> bool {
        stands_in(&self.head, phrase)
    }

    /// Whether a line begins with it.
    pub(crate) fn has_line(&self, beginning: &str) -> bool {
        self.lines.iter().any(|line| {
            line.trim_start_matches(|character: char| !character.is_alphanumeric())
                .strip_prefix(beginning)
                .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
        })
    }

    /// How often these words stand in it, in a hundred words.
    pub(crate) fn rate(&self, words: &[&str]) -> f32 {
        let found = self.words.split(' ').filter(|word| words.contains(word)).count();
        100.0 * found as f32 / self.count.max(1) as f32
    }

    /// How many of these words stand in it.
    pub(crate) fn kinds(&self, words: &[&str]) -> usize {
        words.iter().filter(|word| stands_in(&self.words, word)).count()
    }
}

fn stands_in(words: &str, phrase: &str) -> bool {
    // Chinese and Japanese have no spaces to stand between.
    if phrase.chars().any(|character| character >= '\u{3000}') {
        return words.contains(phrase);
    }
    words.contains(&format!(" {phrase} "))
}

fn normal(lines: &[&str]) -> String {
    let mut words = String::from(" ");
    for line in lines {
        for character in line.chars().flat_map(char::to_lowercase).chain([' ']) {
            if character.is_alphanumeric() {
                words.push(character);
            } else if !words.ends_with(' ') && character != '\'' && character != '’' {
                words.push(' ');
            }
        }
    }
    words
}

/// "12.00", "$1,002.00", "3,50 €" at the end.
fn ends_with_price(line: &str) -> bool {
    let line =
        line.trim_end_matches(|character: char| character.is_alphabetic() || " €$£¥*-".contains(character));
    let Some((whole, cents)) = line.rsplit_once(['.', ',']) else {
        return false;
    };
    cents.len() == 2
        && cents.bytes().all(|byte| byte.is_ascii_digit())
        && whole
            .bytes()
            .next_back()
            .is_some_and(|byte| byte.is_ascii_digit())
}

fn is_code(line: &str) -> bool {
    const BEGINNINGS: [&str; 19] = [
        "fn ",
        "def ",
        "import ",
        "from ",
        "return ",
        "public ",
        "private ",
        "class ",
        "#include",
        "const ",
        "let ",
        "var ",
        "function ",
        "if (",
        "for (",
        "while (",
        "use ",
        "package ",
        "//",
    ];
    let line = line.trim();
    line.ends_with([';', '{', '}'])
        || line.ends_with("):")
        || line == "}"
        || (BEGINNINGS.iter().any(|beginning| line.starts_with(beginning))
            && line.contains(['(', '=', ';', '{', '<', '"']))
}

/// Numbers with a unit of the kitchen after them.
fn measures(words: &str) -> usize {
    let words: Vec<&str> = words.split_whitespace().collect();
    let is_number = |word: &str| word.starts_with(|character: char| character.is_numeric());
    let pairs = words
        .windows(2)
        .filter(|pair| is_number(pair[0]) && UNITS.contains(&pair[1]))
        .count();
    let joined = words.iter().filter(|word| {
        let unit = word.trim_start_matches(|character: char| character.is_numeric());
        unit.len() < word.len() && UNITS.contains(&unit)
    });
    pairs + joined.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_found_as_words_and_long_ones_without_spaces() {
        let features = Features::of_lines(&["THANKYOU FOR", "your visit, Mr. O'Neil:", "Invoice-No. 12"]);
        assert!(features.has("invoice no") && features.has("your visit") && features.has("oneil"));
        assert!(features.has("for your visit") && features.has("thank you for"));
        assert!(!features.has("voice") && !features.has("our"));
        assert!(features.has_line("your visit") && !features.has_line("your vis"));
    }

    #[test]
    fn shapes_are_measured() {
        let features =
            Features::of_lines(&["Coffee 3.50", "Tea 2,20 €", "Name:", "2 tbsp sugar", "250g flour"]);
        assert_eq!((features.prices, features.measures), (2, 2));
        assert!((features.blanks - 0.2).abs() < 1e-6);
        assert!(!ends_with_price("version 1.2") && ends_with_price("Total $1,002.00"));
        let code = Features::of_lines(&["fn main() {", "    let x = 1;", "}", "prose here"]);
        assert!((code.code - 0.75).abs() < 1e-6);
    }
}
