//! Reads the Prometheus text format (version 0.0.4) as strictly as a scraper, so that a test can say that what is
//! exposed is well-formed.

use std::collections::{BTreeMap, BTreeSet};

/// One line of measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The name, with `_bucket`, `_sum` or `_count` where the type has such.
    pub name: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

/// Everything that was exposed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exposition {
    /// The type of each family.
    pub types: BTreeMap<String, String>,
    /// The samples, in order.
    pub samples: Vec<Sample>,
}

// === impl Exposition ===

impl Exposition {
    /// Reads a page.
    ///
    /// # Errors
    /// The line at fault and the rule that it breaks: names, labels, values, one `TYPE` for each family and before its
    /// samples, a family in one piece, no sample twice, histograms with cumulative buckets that end in `+Inf`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut page = Self::default();
        let mut done = BTreeSet::new();
        let mut current = String::new();
        let mut seen = BTreeSet::new();
        for (at, line) in text.lines().enumerate() {
            let fault = |what: &str| format!("line {}: {what}: {line}", at + 1);
            let family = if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(|| fault("no type"))?;
                if !["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind) {
                    return Err(fault("not a type"));
                }
                if page.types.insert(name.to_owned(), kind.to_owned()).is_some() {
                    return Err(fault("a second TYPE"));
                }
                name.to_owned()
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                rest.split_once(' ').ok_or_else(|| fault("no help"))?.0.to_owned()
            } else if line.is_empty() || line.starts_with('#') {
                continue;
            } else {
                let sample = sample(line).ok_or_else(|| fault("not a sample"))?;
                let family = page
                    .family(&sample.name)
                    .ok_or_else(|| fault("no TYPE before it"))?;
                if !seen.insert((sample.name.clone(), sample.labels.clone())) {
                    return Err(fault("the same sample twice"));
                }
                page.samples.push(sample);
                family
            };
            if !is_name(&family, true) {
                return Err(fault("not a metric name"));
            }
            if family != current {
                if !done.insert(family.clone()) {
                    return Err(fault("a family in two pieces"));
                }
                current = family;
            }
        }
        page.check_histograms()?;
        Ok(page)
    }

    /// The value of the one sample of this name that has all of these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &&Sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(key, value)| sample.labels.get(*key).map(String::as_str) == Some(value))
        };
        let mut found = self.samples.iter().filter(has);
        let value = found.next()?.value;
        found.next().is_none().then_some(value)
    }

    /// The family of a sample's name.
    fn family(&self, name: &str) -> Option<String> {
        if self.types.contains_key(name) {
            return Some(name.to_owned());
        }
        ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
            let family = name.strip_suffix(suffix)?;
            let kind = self.types.get(family)?;
            let fits = kind == "histogram" || (kind == "summary" && *suffix != "_bucket");
            fits.then(|| family.to_owned())
        })
    }

    fn check_histograms(&self) -> Result<(), String> {
        let mut last: BTreeMap<(String, BTreeMap<String, String>), (f64, f64)> = BTreeMap::new();
        for sample in &self.samples {
            let Some(family) = sample.name.strip_suffix("_bucket") else {
                continue;
            };
            if self.types.get(family).map(String::as_str) != Some("histogram") {
                continue;
            }
            let mut labels = sample.labels.clone();
            let bound = labels.remove("le").and_then(|bound| number(&bound));
            let bound = bound.ok_or_else(|| format!("{family}: a bucket without a bound"))?;
            let key = (family.to_owned(), labels);
            if let Some((below, count)) = last.insert(key, (bound, sample.value))
                && (bound <= below || sample.value < count)
            {
                return Err(format!("{family}: buckets out of order at {bound}"));
            }
        }
        for ((family, labels), (bound, count)) in last {
            let total = self
                .samples
                .iter()
                .find(|sample| sample.name == format!("{family}_count") && sample.labels == labels);
            if bound.is_finite() || total.map(|total| total.value) != Some(count) {
                return Err(format!(
                    "{family}: its last bucket is not +Inf with the whole count"
                ));
            }
        }
        Ok(())
    }
}

/// `name{label="value",...} number [timestamp]`
fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            if !is_name(label, false) || labels.insert(label.to_owned(), value).is_some() {
                return None;
            }
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let mut parts = rest.split_whitespace();
    let value = number(parts.next()?)?;
    let timestamp = parts.next().is_none_or(|time| time.parse::<i64>().is_ok());
    (is_name(name, true) && rest.starts_with(' ') && timestamp && parts.next().is_none()).then(|| Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// The text up to the closing quote, unescaped, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        _ => text.parse().ok().filter(|number: &f64| number.is_finite()),
    }
}

fn is_name(name: &str, colons: bool) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_' || (colons && c == ':');
    name.starts_with(is_first) && name.chars().all(|c| is_first(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{code=\"a\\\"b\\\\c\\nd\",x=\"\"} 3
calls_total 4 1700000000000

# TYPE took_seconds histogram
took_seconds_bucket{le=\"0.1\"} 1
took_seconds_bucket{le=\"+Inf\"} 2
took_seconds_sum 0.5
took_seconds_count 2
";

    #[test]
    fn a_sound_page_is_read() {
        let page = Exposition::parse(PAGE).expect("sound");
        assert_eq!(page.samples.len(), 6);
        assert_eq!(page.value("calls_total", &[("code", "a\"b\\c\nd")]), Some(3.0));
        assert_eq!(page.types["took_seconds"], "histogram");
    }

    #[test]
    fn a_broken_page_is_refused() {
        for (from, to) in [
            ("calls_total 4", "calls-total 4"),
            ("calls_total 4", "calls_total four"),
            ("calls_total 4", "other_total 4"),
            ("calls_total 4", "calls_total{code=\"a\\\"b\\\\c\\nd\",x=\"\"} 4"),
            ("x=\"\"}", "1x=\"\"}"),
            ("x=\"\"}", "x=\"}"),
            ("a\\\"b", "a\\qb"),
            ("le=\"0.1\"} 1", "le=\"0.1\"} 3"),
            ("le=\"+Inf\"", "le=\"9\""),
            ("seconds_count 2", "seconds_count 3"),
            ("histogram", "histogramm"),
            ("# TYPE took_seconds histogram", "# TYPE calls_total counter"),
            (
                "took_seconds_sum 0.5",
                "took_seconds_sum 0.5\ncalls_total{late=\"1\"} 1",
            ),
        ] {
            assert!(PAGE.contains(from), "{from}");
            assert!(
                Exposition::parse(&PAGE.replacen(from, to, 1)).is_err(),
                "{from} -> {to}"
            );
        }
    }
}
