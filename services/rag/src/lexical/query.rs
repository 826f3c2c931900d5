//! From the words of a query and its filter to a query of tantivy.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;

use sha2::{Digest, Sha256};
use tantivy::query::{
    Bm25StatisticsProvider, BooleanQuery, BoostQuery, ConstScoreQuery, Occur, Query, RangeQuery, TermQuery,
    TermSetQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Searcher, Term};

use super::fields::Fields;
use super::words::{Stems, is_stop_word, words};
use crate::domain::Filter;
use crate::domain::time::micros;

/// What a query looks for in the documents of each language, and how often it names it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Wanted {
    /// Each stem, and how many of the query's words have it.
    pub(crate) stems: BTreeMap<String, u32>,
    /// The stems of each word, one or more.
    words: Vec<Vec<String>>,
    /// Stems of words that say nothing in one of the languages.
    little: BTreeSet<String>,
}

// === impl Wanted ===

impl Wanted {
    /// The stems of a query in these languages. Words that say nothing are left out, unless there are no others.
    pub(crate) fn of(text: &str, languages: &[String], stop_words: bool) -> Self {
        let all = words(text);
        let says_nothing = |word: &str| languages.iter().any(|language| is_stop_word(language, word));
        let keep_all = stop_words || all.iter().all(|word| says_nothing(&word.text));
        let mut stemmers: Vec<Stems> = languages.iter().map(|language| Stems::of(language)).collect();
        if stemmers.is_empty() {
            stemmers.push(Stems::of(""));
        }
        let mut stems = BTreeMap::new();
        let (mut kept, mut little) = (Vec::new(), BTreeSet::new());
        for word in &all {
            let says_nothing = says_nothing(&word.text);
            if !keep_all && says_nothing {
                continue;
            }
            // A word counts once, however many languages agree on its stem.
            let own: HashSet<_> = stemmers.iter().map(|stemmer| stemmer.stem(word)).collect();
            let mut own: Vec<String> = own.into_iter().map(|stem| stem.into_owned()).collect();
            own.sort_unstable();
            for stem in &own {
                *stems.entry(stem.clone()).or_insert(0) += 1;
                if says_nothing {
                    little.insert(stem.clone());
                }
            }
            kept.push(own);
        }
        Self {
            stems,
            words: kept,
            little,
        }
    }

    /// Of the words, each weighed as BM25 weighs one of its rarity, the share that the index has; 0 to 1.
    pub(super) fn read(&self, fields: &Fields, rarity: &Rarity) -> f32 {
        let weight = |having: u64| {
            let (having, documents) = (having as f32, rarity.alive as f32);
            (1.0 + (documents - having + 0.5).max(0.0) / (having + 0.5)).ln()
        };
        let (mut known, mut all) = (0.0, 0.0);
        for stems in &self.words {
            let places = stems
                .iter()
                .flat_map(|stem| self.fields_of(stem, fields).map(move |field| (stem, field)));
            let having = places.map(|(stem, field)| rarity.having(field, stem)).max();
            let having = having.unwrap_or(0);
            let weight = weight(having);
            all += weight;
            if having > 0 {
                known += weight;
            }
        }
        if all > 0.0 { known / all } else { 0.0 }
    }

    /// Where a stem may be: a word that says nothing in one language may say something in another.
    fn fields_of(&self, stem: &str, fields: &Fields) -> impl Iterator<Item = Field> {
        let little = self.little.contains(stem).then_some(fields.little);
        std::iter::once(fields.body).chain(little)
    }

    /// A query that scores by BM25; none where there is nothing to find.
    pub(super) fn query(&self, fields: &Fields, filter: &Filter, rarity: &Rarity) -> Option<Box<dyn Query>> {
        let places = self.stems.iter().flat_map(|(stem, times)| {
            let fields = self.fields_of(stem, fields);
            let there = fields.filter(move |field| rarity.having(*field, stem) > 0);
            there.map(move |field| (Term::from_field_text(field, stem), *times))
        });
        let any = places.map(|(term, times)| {
            let query: Box<dyn Query> = Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs));
            let query = match times {
                1 => query,
                times => Box::new(BoostQuery::new(query, times as f32)),
            };
            (Occur::Should, query)
        });
        let any: Vec<_> = any.collect();
        if any.is_empty() {
            return None;
        }
        let any = Box::new(BooleanQuery::new(any));
        let conditions = conditions(fields, filter);
        if conditions.is_empty() {
            return Some(any);
        }
        let mut all: Vec<(Occur, Box<dyn Query>)> = vec![(Occur::Must, any)];
        all.extend(conditions.into_iter().map(|condition| {
            // A condition decides, and adds nothing to the score.
            let silent: Box<dyn Query> = Box::new(ConstScoreQuery::new(condition, 0.0));
            (Occur::Must, silent)
        }));
        Some(Box::new(BooleanQuery::new(all)))
    }
}

/// How rare the words of a query are, looked up once: whoever scores asks for it again and again.
pub(super) struct Rarity {
    /// Passages that are not deleted.
    alive: u64,
    /// All passages.
    documents: u64,
    /// Words in all, for each field.
    words: HashMap<Field, u64>,
    /// Passages with a word, for each that the index has.
    having: HashMap<Term, u64>,
}

// === impl Rarity ===

impl Rarity {
    pub(super) fn of(wanted: &Wanted, fields: &Fields, searcher: &Searcher) -> tantivy::Result<Self> {
        let mut rarity = Self {
            alive: searcher.num_docs(),
            documents: searcher.total_num_docs()?,
            words: HashMap::new(),
            having: HashMap::new(),
        };
        for stem in wanted.stems.keys() {
            for field in wanted.fields_of(stem, fields) {
                let term = Term::from_field_text(field, stem);
                let having = searcher.doc_freq(&term)?;
                if having > 0 {
                    rarity.having.insert(term, having);
                }
                if let Entry::Vacant(words) = rarity.words.entry(field) {
                    words.insert(searcher.total_num_tokens(field)?);
                }
            }
        }
        Ok(rarity)
    }

    fn having(&self, field: Field, stem: &str) -> u64 {
        let term = Term::from_field_text(field, stem);
        self.having.get(&term).copied().unwrap_or(0)
    }
}

impl Bm25StatisticsProvider for Rarity {
    fn total_num_tokens(&self, field: Field) -> tantivy::Result<u64> {
        Ok(self.words.get(&field).copied().unwrap_or(0))
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.documents)
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        Ok(self.having.get(term).copied().unwrap_or(0))
    }
}

/// One query for each thing that must hold.
fn conditions(fields: &Fields, filter: &Filter) -> Vec<Box<dyn Query>> {
    let Filter {
        doc_types,
        tags,
        documents,
        from,
        until,
        metadata,
    } = filter;
    let one = |field, value: &str| -> Box<dyn Query> {
        let term = Term::from_field_text(field, value);
        Box::new(TermQuery::new(term, IndexRecordOption::Basic))
    };
    let mut all: Vec<Box<dyn Query>> = Vec::new();
    for (field, values) in [(fields.doc_type, doc_types), (fields.document, documents)] {
        if !values.is_empty() {
            let terms = values.iter().map(|value| Term::from_field_text(field, value));
            all.push(Box::new(TermSetQuery::new(terms)));
        }
    }
    all.extend(tags.iter().map(|tag| one(fields.tag, tag)));
    for (name, value) in metadata {
        // What is looked for is whole; only what is there has elements.
        all.push(one(fields.metadata, &pair(name, value)));
    }
    if from.is_some() || until.is_some() {
        let term = |time| Term::from_field_i64(fields.time, micros(time));
        let lower = from.map_or(Bound::Unbounded, |time| Bound::Included(term(time)));
        let upper = until.map_or(Bound::Unbounded, |time| Bound::Excluded(term(time)));
        all.push(Box::new(RangeQuery::new(lower, upper)));
    }
    all
}

/// The words that stand for a client's data: one for each value, and for each element of a list.
pub(crate) fn pairs(metadata: &serde_json::Map<String, serde_json::Value>) -> Vec<String> {
    let mut all = Vec::new();
    for (name, value) in metadata {
        all.push(pair(name, value));
        if let serde_json::Value::Array(elements) = value {
            all.extend(elements.iter().map(|element| pair(name, element)));
        }
    }
    all
}

/// A name and a value as one word; long ones by their digest.
pub(crate) fn pair(name: &str, value: &serde_json::Value) -> String {
    /// An index has a limit for the length of words.
    const LONGEST: usize = 256;
    // A name has its length before it, so that no two pairs give the same word.
    let word = format!("{}:{name}={}", name.len(), canonical(value));
    if word.len() <= LONGEST {
        return word;
    }
    format!("#{}", crate::staging::spelled(&Sha256::digest(word.as_bytes())))
}

/// A value as text, the same for the same value: numbers of JSON are all of one kind.
fn canonical(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Number(number) => number
            .as_f64()
            .map_or_else(|| number.to_string(), |number| number.to_string()),
        serde_json::Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(canonical).collect();
            format!("[{}]", elements.join(","))
        }
        serde_json::Value::Object(fields) => {
            let sorted: BTreeMap<&String, &serde_json::Value> = fields.iter().collect();
            let fields: Vec<String> = sorted
                .into_iter()
                .map(|(name, value)| {
                    format!("{}:{}", serde_json::Value::from(name.as_str()), canonical(value))
                })
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        other => other.to_string(),
    }
}
