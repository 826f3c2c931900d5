//! What a model's own files say about it: how tokens become one vector, how many it takes, what goes before a text. What
//! they leave open is known for some families.

use std::collections::BTreeMap;

use polyphony_inference::Error as InferenceError;
use serde::Deserialize;

use crate::{Error, Folder};

/// How the vectors of tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The mean.
    Mean,
    /// The first token's.
    Cls,
    /// The last token's.
    Last,
    /// The graph does it.
    Graph,
}

/// What is known of an embedder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// How tokens become one vector, where the graph does not do it.
    pub(crate) pooling: Pooling,
    /// The most tokens of a text, with those that the model adds.
    pub(crate) max_tokens: usize,
    /// What goes before a query.
    pub(crate) query: String,
    /// What goes before a document.
    pub(crate) document: String,
    /// The first dimensions are vectors by themselves.
    pub(crate) nested: bool,
    /// A layer that the graph must have in it comes after the pooling.
    pub(crate) dense: bool,
    /// How many dimensions it has, if its files say so.
    pub(crate) dimensions: Option<usize>,
}

/// `config.json` of transformers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ModelConfig {
    model_type: Option<String>,
    hidden_size: Option<usize>,
    dim: Option<usize>,
    max_position_embeddings: Option<i64>,
    matryoshka_dimensions: Option<Vec<usize>>,
    /// What each output of a classifier means.
    pub(crate) id2label: Option<BTreeMap<String, String>>,
    /// What stands behind a text's end.
    pub(crate) pad_token_id: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TokenizerConfig {
    /// A huge number where there is no limit.
    model_max_length: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PromptConfig {
    prompts: BTreeMap<String, Option<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PoolingConfig {
    word_embedding_dimension: Option<usize>,
    /// As sentence-transformers writes it from version 5 on.
    pooling_mode: Option<String>,
    pooling_mode_cls_token: bool,
    pooling_mode_mean_tokens: bool,
    pooling_mode_max_tokens: bool,
    pooling_mode_mean_sqrt_len_tokens: bool,
    pooling_mode_weightedmean_tokens: bool,
    pooling_mode_lasttoken: bool,
}

#[derive(Debug, Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
}

/// What is known of a family whose files do not say it. `mark` is in the model's id.
struct Family {
    mark: &'static str,
    pooling: Pooling,
    query: &'static str,
    document: &'static str,
    nested: bool,
}

const SEARCHING: &str = "Represent this sentence for searching relevant passages: ";

/// The first whose mark is in the id holds.
const FAMILIES: &[Family] = &[
    Family::new("bge-m3", Pooling::Cls, "", ""),
    Family::new("bge-reranker", Pooling::Cls, "", ""),
    Family::new(
        "bge-small-zh",
        Pooling::Cls,
        "为这个句子生成表示以用于检索相关文章：",
        "",
    ),
    Family::new(
        "bge-base-zh",
        Pooling::Cls,
        "为这个句子生成表示以用于检索相关文章：",
        "",
    ),
    Family::new(
        "bge-large-zh",
        Pooling::Cls,
        "为这个句子生成表示以用于检索相关文章：",
        "",
    ),
    Family::new("bge-", Pooling::Cls, SEARCHING, ""),
    Family::new("mxbai-embed", Pooling::Cls, SEARCHING, "").nested(),
    Family::new("snowflake-arctic-embed-m-v1.5", Pooling::Cls, SEARCHING, "").nested(),
    Family::new("snowflake-arctic-embed", Pooling::Cls, SEARCHING, ""),
    Family::new(
        "nomic-embed-text-v1.5",
        Pooling::Mean,
        "search_query: ",
        "search_document: ",
    )
    .nested(),
    Family::new(
        "nomic-embed-text",
        Pooling::Mean,
        "search_query: ",
        "search_document: ",
    ),
    Family::new("multilingual-e5", Pooling::Mean, "query: ", "passage: "),
    Family::new("e5-", Pooling::Mean, "query: ", "passage: "),
];

/// BERT's own limit, where nothing says another.
const USUAL_TOKENS: usize = 512;

// === impl Family ===

impl Family {
    const fn new(mark: &'static str, pooling: Pooling, query: &'static str, document: &'static str) -> Self {
        Self {
            mark,
            pooling,
            query,
            document,
            nested: false,
        }
    }

    const fn nested(mut self) -> Self {
        self.nested = true;
        self
    }

    fn of(id: &str) -> Option<&'static Self> {
        let id = id.to_lowercase();
        FAMILIES.iter().find(|family| id.contains(family.mark))
    }
}

// === impl ModelConfig ===

impl ModelConfig {
    pub(crate) fn read(folder: &Folder) -> Result<Self, Error> {
        folder.read("config.json")
    }

    /// The most tokens, with those that the model adds: the tightest of what the files say.
    pub(crate) fn max_tokens(&self, folder: &Folder) -> Result<usize, Error> {
        let sentence: SentenceConfig = folder.read("sentence_bert_config.json")?;
        let tokenizer: TokenizerConfig = folder.read("tokenizer_config.json")?;
        let stated = tokenizer
            .model_max_length
            .filter(|most| (1.0..1e9).contains(most))
            .map(|most| most as usize);
        let limits = [sentence.max_seq_length.or(stated), self.positions()];
        let most = limits.into_iter().flatten().min().unwrap_or(USUAL_TOKENS);
        Ok(most)
    }

    /// How many positions can be used: RoBERTa and its kin begin to count behind the padding's.
    fn positions(&self) -> Option<usize> {
        let positions = self.max_position_embeddings?;
        let kind = self.model_type.as_deref().unwrap_or_default();
        let behind = ["roberta", "camembert", "mpnet"]
            .iter()
            .any(|name| kind.contains(name));
        // DeBERTa's are relative, and it says -1 or a number that is no limit.
        usize::try_from(positions - if behind { 2 } else { 0 })
            .ok()
            .filter(|&positions| positions > 0)
    }
}

// === impl PoolingConfig ===

impl PoolingConfig {
    fn pooling(&self) -> Result<Option<Pooling>, &'static str> {
        let modes = [
            (self.pooling_mode_mean_tokens, Ok(Pooling::Mean)),
            (self.pooling_mode_cls_token, Ok(Pooling::Cls)),
            (self.pooling_mode_lasttoken, Ok(Pooling::Last)),
            (self.pooling_mode_max_tokens, Err("the maximum")),
            (
                self.pooling_mode_mean_sqrt_len_tokens,
                Err("the sum by the root of the length"),
            ),
            (self.pooling_mode_weightedmean_tokens, Err("the weighted mean")),
        ];
        match self.pooling_mode.as_deref() {
            Some("mean") => return Ok(Some(Pooling::Mean)),
            Some("cls") => return Ok(Some(Pooling::Cls)),
            Some("lasttoken") => return Ok(Some(Pooling::Last)),
            Some(_) => return Err("its own way"),
            None => {}
        }
        let mut chosen = modes.into_iter().filter(|(on, _)| *on).map(|(_, mode)| mode);
        match (chosen.next(), chosen.next()) {
            (None, _) => Ok(None),
            (Some(mode), None) => mode.map(Some),
            (Some(_), Some(_)) => Err("several ways at once"),
        }
    }
}

// === impl Settings ===

impl Settings {
    /// What the files of the model called `id` say, and what is known of its family besides.
    pub(crate) fn read(folder: &Folder, id: &str) -> Result<Self, Error> {
        let config = ModelConfig::read(folder)?;
        let family = Family::of(id);
        let pooling: PoolingConfig = folder.read("1_Pooling/config.json")?;
        let stated = pooling.pooling().map_err(|mode| {
            InferenceError::unfit(
                folder.graph(),
                format!("it wants tokens pooled by {mode}; known are the mean, the first and the last token"),
            )
        })?;
        let modules: Vec<Module> = folder.read("modules.json")?;
        let prompts: PromptConfig = folder.read("config_sentence_transformers.json")?;
        let prompt = |names: &[&str], known: &str| -> String {
            names
                .iter()
                .find_map(|name| prompts.prompts.get(*name))
                .map_or_else(|| known.to_owned(), |prompt| prompt.clone().unwrap_or_default())
        };
        Ok(Self {
            pooling: stated.unwrap_or_else(|| family.map_or(Pooling::Mean, |family| family.pooling)),
            max_tokens: config.max_tokens(folder)?,
            query: prompt(
                &["query", "search_query"],
                family.map_or("", |family| family.query),
            ),
            document: prompt(
                &["document", "passage", "search_document"],
                family.map_or("", |family| family.document),
            ),
            nested: config.matryoshka_dimensions.is_some() || family.is_some_and(|family| family.nested),
            dense: modules.iter().any(|module| module.kind.ends_with(".Dense")),
            dimensions: pooling
                .word_embedding_dimension
                .or(config.hidden_size)
                .or(config.dim),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(id: &str, files: &[(&str, &str)]) -> Result<Settings, Error> {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        let names = files.iter().map(|(name, _)| *name).chain(["model.onnx"]);
        let folder = Folder::new(dir.path(), names).expect("a graph");
        Settings::read(&folder, id)
    }

    #[test]
    fn limits_are_the_tightest_that_the_files_state() {
        let limit = |files: &[(&str, &str)]| read("x", files).expect("settings").max_tokens;
        let bert = (
            "config.json",
            r#"{"model_type": "bert", "max_position_embeddings": 512}"#,
        );
        let roberta = (
            "config.json",
            r#"{"model_type": "xlm-roberta", "max_position_embeddings": 514}"#,
        );
        assert_eq!(limit(&[]), 512);
        assert_eq!(limit(&[roberta]), 512);
        let endless = ("tokenizer_config.json", r#"{"model_max_length": 1e30}"#);
        assert_eq!(limit(&[roberta, endless]), 512);
        let short = ("tokenizer_config.json", r#"{"model_max_length": 128}"#);
        assert_eq!(limit(&[bert, short]), 128);
        // What sentence-transformers was told holds over the tokenizer.
        let sentence = ("sentence_bert_config.json", r#"{"max_seq_length": 256}"#);
        assert_eq!(limit(&[bert, short, sentence]), 256);
    }

    #[test]
    fn pooling_and_prompts_are_those_of_the_files_then_those_of_the_family() {
        let plain = read("me/tiny", &[]).expect("settings");
        assert_eq!((plain.pooling, plain.query.as_str()), (Pooling::Mean, ""));
        let bge = read("BAAI/bge-small-en-v1.5", &[]).expect("settings");
        assert_eq!(
            (bge.pooling, bge.query.as_str(), bge.document.as_str()),
            (Pooling::Cls, SEARCHING, "")
        );
        let e5 = read("Xenova/multilingual-e5-small", &[]).expect("settings");
        assert_eq!(
            (e5.query.as_str(), e5.document.as_str()),
            ("query: ", "passage: ")
        );
        let own = read(
            "intfloat/e5-tiny",
            &[
                ("1_Pooling/config.json", r#"{"pooling_mode_lasttoken": true}"#),
                (
                    "config_sentence_transformers.json",
                    r#"{"prompts": {"query": "Q: ", "document": ""}}"#,
                ),
            ],
        )
        .expect("settings");
        assert_eq!(
            (own.pooling, own.query.as_str(), own.document.as_str()),
            (Pooling::Last, "Q: ", "")
        );
        assert_eq!(read("BAAI/bge-m3", &[]).expect("settings").query, "");
    }

    #[test]
    fn pooling_that_is_not_known_is_refused() {
        for config in [
            r#"{"pooling_mode_max_tokens": true}"#,
            r#"{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}"#,
            r#"{"pooling_mode": "weightedmean"}"#,
        ] {
            let error = read("x", &[("1_Pooling/config.json", config)]).expect_err("refused");
            assert!(error.to_string().contains("known are the mean"), "{error}");
        }
        let broken = read("x", &[("config.json", "{")]).expect_err("refused");
        assert!(broken.to_string().contains("config.json is broken"), "{broken}");
    }
}
