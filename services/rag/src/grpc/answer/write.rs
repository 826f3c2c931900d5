//! Who writes an answer: a language model where one is up, else the documents themselves.

use std::time::Instant;

use polyphony_chassis::duplex::Stop;
use polyphony_error::{Fault, Kind};
use polyphony_proto::rag::v1 as pb;
use polyphony_proto::rag::v1::AnswerSkippedReason as Skipped;
use polyphony_proto::rag::v1::answer_response::Event;
use polyphony_proto::types::v1 as types;
use polyphony_wire::Spent;
use tokio::task::spawn_blocking;

use super::{Citations, Job, Outbox, SHORT, Shared, Stages, model};
use crate::answer::citations::check;
use crate::answer::context::{self, Budget, tokens};
use crate::answer::grounding::Grounds;
use crate::answer::markers::Markers;
use crate::answer::refusal::Refusal;
use crate::answer::{Source, extract, follow_up, prompt};
use crate::clients::llm::{Done, End, Piece, Wanted, Writing};
use crate::convert::answer::Mode;
use crate::domain::Found;
use crate::engine::{Embed as _, Side};

/// An answer that is to be written.
pub(super) struct Draft<'a> {
    pub(super) shared: &'a Shared,
    pub(super) job: &'a Job,
    /// The question as it stands alone.
    pub(super) query: &'a str,
    /// What it is written from, the best first.
    pub(super) sources: &'a [Source],
    pub(super) found: &'a Found,
    pub(super) outbox: &'a Outbox,
}

/// An answer that was written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) answer: String,
    pub(super) citations: Citations,
    pub(super) mode: pb::AnswerMode,
    pub(super) skipped: Vec<Skipped>,
    pub(super) grounding: f32,
    pub(super) usage: pb::AnswerUsage,
    pub(super) related: Vec<String>,
    pub(super) receipt: types::Receipt,
    /// It may be given again.
    pub(super) is_good: bool,
}

/// What a model wrote.
struct Words {
    text: String,
    marks: Vec<crate::answer::markers::Mark>,
    is_refusal: bool,
    done: Done,
}

/// Sentences whose meaning is compared with that of the question.
const CANDIDATES: usize = 24;

// === impl Draft ===

impl Draft<'_> {
    /// Writes the answer and sends it as it comes.
    pub(super) async fn write(&self, stages: &mut Stages) -> Result<Written, Stop> {
        let mode = self.job.asked.mode;
        if self.sources.is_empty() {
            let mode = match mode {
                Mode::Generative => pb::AnswerMode::Generative,
                Mode::Auto | Mode::Extractive => pb::AnswerMode::Extractive,
            };
            let receipt = self.receipt().await?;
            return Ok(skipped(mode, Skipped::NoRelevantContent, receipt));
        }
        if mode == Mode::Extractive {
            return self.extract(None, stages).await;
        }
        let began = Instant::now();
        match self.shared.llm.ask(self.wanted(), self.job.deadline).await {
            Ok(writing) => {
                stages.add("prefill", began.elapsed());
                self.generate(writing, stages).await
            }
            Err(fault) => match self.is_replaceable(&fault) {
                true => self.extract(Some(fault), stages).await,
                false => Err(self.refused(fault).into()),
            },
        }
    }

    fn wanted(&self) -> Wanted {
        let asked = &self.job.asked;
        let budget = Budget {
            passages: self.sources.len(),
            tokens: self.shared.config.answer.context_tokens,
        };
        let kept = context::select(self.query, self.sources, budget);
        Wanted {
            model: model(self.shared, asked),
            messages: prompt::messages(self.query, &asked.history, self.sources, &kept, &asked.manner),
            max_tokens: asked.max_tokens,
            temperature: asked.temperature,
        }
    }

    /// Whether the documents answer in the place of a model that does not.
    fn is_replaceable(&self, fault: &Fault) -> bool {
        let asked = &self.job.asked;
        // A model that the caller named and that there is not is the caller's to mend.
        let is_callers = fault.kind == Kind::NotFound && !asked.model.is_empty();
        asked.mode == Mode::Auto && !is_callers
    }

    /// What a caller is told who wants a model and no other.
    fn refused(&self, fault: Fault) -> Fault {
        if fault.kind == Kind::NotFound && !self.job.asked.model.is_empty() {
            return fault.and_invalid("generation.model", "is not known to llm-proxy");
        }
        if matches!(
            fault.kind,
            Kind::Unavailable | Kind::Unimplemented | Kind::NotFound
        ) {
            let text = format!(
                "no language model answers: {}; modes AUTO and EXTRACTIVE need none",
                fault.message
            );
            return Fault::unavailable("NO_LANGUAGE_MODEL", text).because(fault);
        }
        fault
    }

    /// An answer of a model.
    async fn generate(&self, writing: Writing, stages: &mut Stages) -> Result<Written, Stop> {
        let began = Instant::now();
        let words = self.read(writing).await?;
        stages.add("decode", began.elapsed());
        let Words {
            text,
            marks,
            is_refusal,
            done,
        } = words;
        let took = done.decode.unwrap_or_else(|| began.elapsed()).as_secs_f32();
        let written = done.completion_tokens.unwrap_or_else(|| count(&text));
        let usage = pb::AnswerUsage {
            prompt_tokens: done.prompt_tokens.unwrap_or_else(|| self.prompt_tokens()),
            completion_tokens: written,
            context_chunks: u32::try_from(self.sources.len()).unwrap_or(u32::MAX),
            tokens_per_second: if took > 0.0 { written as f32 / took } else { 0.0 },
        };
        let mut receipt = done.receipt;
        let reason = if done.end == End::Filtered {
            Some(Skipped::ContentFilter)
        } else if is_refusal || text.trim().is_empty() {
            Some(Skipped::NotAnswerable)
        } else {
            None
        };
        if let Some(reason) = reason {
            let skipped = skipped(pb::AnswerMode::Generative, reason, receipt);
            return Ok(Written { usage, ..skipped });
        }
        let began = Instant::now();
        let mut grounds = Grounds::new(self.sources.iter().map(|source| source.text.as_str()));
        let checked = check(&text, &marks, &mut grounds);
        stages.add("ground", began.elapsed());
        let is_cut = done.end == End::Length;
        if is_cut {
            let message = format!(
                "the model was stopped at {} tokens; raise generation.max_tokens for the rest of the answer",
                self.job.asked.max_tokens
            );
            receipt.degraded = Some(degraded("ANSWER_AT_TOKEN_LIMIT", message));
        }
        if checked.grounding < self.shared.config.answer.min_grounding {
            let mut written = skipped(pb::AnswerMode::Generative, Skipped::LowGrounding, receipt);
            written.usage = usage;
            written.grounding = checked.grounding;
            written.citations = Vec::new();
            return Ok(written);
        }
        let related = self.related(&text, stages).await;
        Ok(Written {
            is_good: !is_cut && receipt.degraded.is_none(),
            answer: text,
            citations: checked.citations,
            mode: pb::AnswerMode::Generative,
            skipped: Vec::new(),
            grounding: checked.grounding,
            usage,
            related,
            receipt,
        })
    }

    /// Reads a model's words to their end, and sends them on without their markers.
    async fn read(&self, mut writing: Writing) -> Result<Words, Stop> {
        let mut refusal = Refusal::default();
        let mut markers = Markers::new(self.sources.len());
        let mut text = String::new();
        let done = loop {
            match writing.next().await.map_err(cut)? {
                Piece::Words(words) => {
                    let words = markers.push(&refusal.push(&words));
                    self.say(&mut text, words).await?;
                }
                Piece::Done(done) => break *done,
            }
        };
        let held = refusal.finish();
        let is_refusal = held.is_none();
        let words = markers.push(&held.unwrap_or_default());
        self.say(&mut text, words).await?;
        let (rest, marks) = markers.finish();
        // Blanks at the end are no part of an answer.
        self.say(&mut text, rest.trim_end().to_owned()).await?;
        Ok(Words {
            text,
            marks,
            is_refusal,
            done,
        })
    }

    async fn say(&self, text: &mut String, words: String) -> Result<(), Stop> {
        if words.is_empty() {
            return Ok(());
        }
        text.push_str(&words);
        self.outbox
            .send(Event::Delta(pb::AnswerDelta { text: words }))
            .await
    }

    /// Questions that may come next, where they were asked for.
    async fn related(&self, answer: &str, stages: &mut Stages) -> Vec<String> {
        let asked = &self.job.asked;
        if !asked.related {
            return Vec::new();
        }
        let began = Instant::now();
        let wanted = Wanted {
            model: model(self.shared, asked),
            messages: follow_up::relate(self.query, answer),
            max_tokens: SHORT,
            temperature: 0.0,
        };
        let reply = self.shared.llm.ask_whole(wanted, self.job.deadline).await;
        stages.add("relate", began.elapsed());
        match reply {
            Ok(reply) => follow_up::related(&reply, self.query),
            Err(fault) => {
                tracing::debug!(error = %polyphony_error::chain(&fault), "no questions are suggested");
                Vec::new()
            }
        }
    }

    /// An answer of sentences of the documents; `instead` says why no model wrote one.
    async fn extract(&self, instead: Option<Fault>, stages: &mut Stages) -> Result<Written, Stop> {
        let began = Instant::now();
        let candidates = extract::candidates(self.query, self.sources, CANDIDATES);
        let texts = candidates.iter().map(|candidate| {
            let quote = &candidate.quote;
            self.sources[quote.source].text[quote.range.clone()].to_owned()
        });
        let cosines = self.cosines(texts.collect()).await?;
        let found = extract::answer(self.sources, &candidates, &cosines);
        stages.add("extract", began.elapsed());
        let mut receipt = self.receipt().await?;
        if let Some(fault) = &instead {
            tracing::info!(error = %polyphony_error::chain(fault), "the documents answer in the place of a model");
            let message = format!(
                "these are sentences of the documents, for no language model answered: {}",
                fault.message
            );
            receipt.degraded = Some(degraded("NO_LANGUAGE_MODEL", message));
        }
        let Some(extract::Extract { text, citations }) = found else {
            return Ok(skipped(
                pb::AnswerMode::Extractive,
                Skipped::NoRelevantContent,
                receipt,
            ));
        };
        self.outbox
            .send(Event::Delta(pb::AnswerDelta { text: text.clone() }))
            .await?;
        Ok(Written {
            answer: text,
            citations,
            mode: pb::AnswerMode::Extractive,
            skipped: Vec::new(),
            grounding: 1.0,
            usage: pb::AnswerUsage {
                context_chunks: u32::try_from(self.sources.len()).unwrap_or(u32::MAX),
                ..pb::AnswerUsage::default()
            },
            related: Vec::new(),
            receipt,
            // A model may be up again before the answer is old.
            is_good: instead.is_none(),
        })
    }

    /// How near each text is to the question in meaning.
    async fn cosines(&self, texts: Vec<String>) -> Result<Vec<f32>, Fault> {
        let model = self.job.scope.embedding_model();
        let embedding = self.shared.encoders.embedding(model).await?;
        let query = self.query.to_owned();
        let work = spawn_blocking(move || {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let asked = embedding.embed(&[&query], Side::Query)?;
            let vectors = embedding.embed(&texts, Side::Passage)?;
            let asked = asked.first().map(Vec::as_slice).unwrap_or_default();
            let cosine = |vector: &Vec<f32>| asked.iter().zip(vector).map(|(a, b)| a * b).sum();
            Ok::<Vec<f32>, Fault>(vectors.iter().map(cosine).collect())
        });
        work.await.map_err(Fault::internal)?
    }

    /// With what passages were found, for answers that no model wrote.
    async fn receipt(&self) -> Result<types::Receipt, Fault> {
        self.shared
            .found_by(&self.job.call, self.found, Spent::default())
            .await
    }

    /// About how many tokens a model was given, where it does not say.
    fn prompt_tokens(&self) -> u32 {
        let messages = self.wanted().messages;
        messages.iter().map(|message| count(&message.text)).sum()
    }
}

fn count(text: &str) -> u32 {
    u32::try_from(tokens(text)).unwrap_or(u32::MAX)
}

/// An answer that is none.
fn skipped(mode: pb::AnswerMode, reason: Skipped, receipt: types::Receipt) -> Written {
    Written {
        answer: String::new(),
        citations: Vec::new(),
        mode,
        skipped: vec![reason],
        grounding: 0.0,
        usage: pb::AnswerUsage::default(),
        related: Vec::new(),
        receipt,
        is_good: false,
    }
}

fn degraded(reason: &str, message: String) -> types::Degradation {
    types::Degradation {
        reason: reason.to_owned(),
        message,
    }
}

/// An answer that breaks off after words were sent: never complete, and nobody else goes on with it.
fn cut(fault: Fault) -> Fault {
    let kind = match fault.kind {
        kind @ (Kind::DeadlineExceeded | Kind::Aborted) => kind,
        _ => Kind::Unavailable,
    };
    let text = format!(
        "the answer broke off and is not complete: {}; ask again",
        fault.message
    );
    Fault::new(kind, "ANSWER_CUT", text).because(fault)
}
