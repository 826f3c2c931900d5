//! Who calls, what they may, and what they have used.
//!
//! A key is known by its SHA-256 alone; keys are long and random, so no slow hash is needed. Usage is counted by the name of
//! the key, or of a gRPC caller's certificate, whether or not there is a budget.

mod file;
mod usage;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use polyphony_chassis::{ANONYMOUS, Caller};
use polyphony_error::{Fault, Kind};
use sha2::{Digest as _, Sha256};

use crate::config::KeysConfig;
use crate::domain::Usage;
use crate::proxy::Proxy;
pub use file::FileError;
use file::{KeyFile, Policy};
use usage::Tally;

/// All keys, and what was used.
#[derive(Debug)]
pub(crate) struct Keys {
    file: Option<PathBuf>,
    usage_file: Option<PathBuf>,
    known: ArcSwap<KeyFile>,
    used: Mutex<HashMap<String, Tally>>,
    /// Held by who writes the file.
    writing: Mutex<()>,
}

/// How often files are looked at and written.
const INTERVAL: Duration = Duration::from_secs(5);

/// What one answer takes, counted when this is dropped, however the answer ends. Where the upstream has not told it by then,
/// each piece that came counts as a token: else whoever goes away before the end would have it for nothing.
#[derive(Debug)]
pub(crate) struct Spending<'a> {
    keys: &'a Keys,
    who: Who,
    told: Usage,
    pieces: u32,
}

/// Who calls.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    name: Arc<str>,
    policy: Option<Arc<Policy>>,
}

// === impl Who ===

impl Who {
    /// Nobody in particular.
    pub(crate) fn anonymous() -> Self {
        Self::named(ANONYMOUS)
    }

    /// Somebody without a budget.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            policy: None,
        }
    }

    /// What usage is counted by.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

// === impl Keys ===

impl Keys {
    /// Reads the files.
    ///
    /// # Errors
    /// When one is there and cannot be used.
    pub(crate) fn open(config: &KeysConfig, data: Option<PathBuf>) -> Result<Self, FileError> {
        let usage_file = config.usage_file.clone().or_else(|| {
            let data = config.file.as_ref().and(data)?;
            Some(data.join("llm-proxy").join("usage.json"))
        });
        let known = match &config.file {
            Some(path) => KeyFile::read(path)?,
            None => KeyFile::default(),
        };
        let used = usage_file
            .as_deref()
            .map(usage::read)
            .transpose()?
            .unwrap_or_default();
        Ok(Self {
            file: config.file.clone(),
            known: ArcSwap::from_pointee(known),
            used: Mutex::new(used),
            writing: Mutex::default(),
            usage_file,
        })
    }

    /// Whether the HTTP door asks for a key.
    pub(crate) fn are_wanted(&self) -> bool {
        self.file.is_some()
    }

    /// Who has this key.
    ///
    /// # Errors
    /// UNAUTHENTICATED.
    pub(crate) fn of_key(&self, key: Option<&str>) -> Result<Who, Fault> {
        if !self.are_wanted() {
            return Ok(Who::anonymous());
        }
        let refused = |text: &'static str| Fault::new(Kind::Unauthenticated, "KEY_REFUSED", text);
        let key = key.ok_or_else(|| refused("a key is wanted: send \"authorization: Bearer KEY\""))?;
        let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let known = self.known.load();
        let policy = known
            .by_digest(&digest)
            .ok_or_else(|| refused("the key is not known here"))?;
        Ok(Who {
            name: policy.name.as_str().into(),
            policy: Some(policy),
        })
    }

    /// Who calls by gRPC: a key's, if it names one of the caller's names, else the caller's own.
    pub(crate) fn of_caller(&self, caller: &Caller) -> Who {
        let known = self.known.load();
        match known.by_caller(caller) {
            Some(policy) => Who {
                name: policy.name.as_str().into(),
                policy: Some(policy),
            },
            None => Who::named(caller.owner().unwrap_or(ANONYMOUS)),
        }
    }

    /// One more request.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED with the budget that is spent, and when it is there again.
    pub(crate) fn admit(&self, who: &Who) -> Result<(), Fault> {
        let now = SystemTime::now();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = used.entry(who.name.to_string()).or_default();
        tally.turn(now);
        if let Some(policy) = &who.policy {
            let name = &policy.name;
            if policy
                .requests_per_minute
                .is_some_and(|most| tally.minute_requests >= most)
            {
                let most = policy.requests_per_minute.unwrap_or_default();
                let text = format!("key {name} has made its {most} requests of this minute");
                let after = usage::until_next_minute(now);
                return Err(Fault::exhausted(
                    "REQUESTS_SPENT",
                    format!("keys.{name}.requests_per_minute"),
                    text,
                    Some(after),
                ));
            }
            if policy.tokens_per_day.is_some_and(|most| tally.day_tokens >= most) {
                let most = policy.tokens_per_day.unwrap_or_default();
                let text = format!("key {name} has used its {most} tokens of this day (UTC)");
                let after = usage::until_next_day(now);
                return Err(Fault::exhausted(
                    "TOKENS_SPENT",
                    format!("keys.{name}.tokens_per_day"),
                    text,
                    Some(after),
                ));
            }
        }
        tally.requests += 1;
        tally.minute_requests += 1;
        tally.is_new = true;
        Ok(())
    }

    /// What an answer that begins now will take.
    pub(crate) fn spending(&self, who: &Who) -> Spending<'_> {
        Spending {
            keys: self,
            who: who.clone(),
            told: Usage::default(),
            pieces: 0,
        }
    }

    /// An answer took this.
    pub(crate) fn spend(&self, who: &Who, usage: &Usage) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = used.entry(who.name.to_string()).or_default();
        tally.turn(SystemTime::now());
        tally.day_tokens += usage.total();
        tally.prompt_tokens += u64::from(usage.prompt_tokens.unwrap_or(0));
        tally.completion_tokens += u64::from(usage.completion_tokens.unwrap_or(0));
        tally.is_new = true;
    }

    /// Reads the file of keys again if it was changed since `before`, and gives when it was.
    fn refresh(&self, before: Option<SystemTime>) -> Option<SystemTime> {
        let path = self.file.as_deref()?;
        let now = file::changed(path);
        if now.is_none() || now == before {
            return before;
        }
        match KeyFile::read(path) {
            Ok(known) => self.known.store(Arc::new(known)),
            Err(error) => {
                let error = polyphony_error::chain(&error).to_string();
                tracing::warn!(error, "the keys stay as they were");
            }
        }
        now
    }

    /// Writes the usage, if there is something new.
    pub(crate) fn write(&self) {
        let Some(path) = &self.usage_file else { return };
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let tallies = {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            if !used.values().any(|tally| tally.is_new) {
                return;
            }
            for tally in used.values_mut() {
                tally.is_new = false;
            }
            used.clone()
        };
        if let Err(error) = usage::write(path, &tallies) {
            tracing::warn!(path = %path.display(), error = %polyphony_error::chain(&error), "the usage cannot be written");
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            for tally in used.values_mut() {
                tally.is_new = true;
            }
        }
    }
}

/// Looks at the file of keys and writes the usage, every so often, as long as it is polled.
pub(crate) async fn keep(proxy: Arc<Proxy>) {
    let mut changed = proxy.keys.file.as_deref().and_then(file::changed);
    loop {
        tokio::time::sleep(INTERVAL).await;
        let kept = Arc::clone(&proxy);
        // Files may be slow.
        let looked = tokio::task::spawn_blocking(move || {
            let changed = kept.keys.refresh(changed);
            kept.keys.write();
            changed
        });
        changed = looked.await.unwrap_or(changed);
    }
}

// === impl Spending ===

impl Spending<'_> {
    /// So many pieces of the answer came.
    pub(crate) fn came(&mut self, pieces: u32) {
        self.pieces = self.pieces.saturating_add(pieces);
    }

    /// The upstream says so; the last word counts.
    pub(crate) fn tell(&mut self, usage: Usage) {
        if usage.is_known() {
            self.told = usage;
        }
    }

    /// What the upstream has said.
    pub(crate) const fn told(&self) -> Usage {
        self.told
    }
}

impl Drop for Spending<'_> {
    fn drop(&mut self) {
        let counted = Usage {
            completion_tokens: Some(self.pieces),
            ..Usage::default()
        };
        let usage = if self.told.is_known() { self.told } else { counted };
        self.keys.spend(&self.who, &usage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(dir: &std::path::Path) -> Keys {
        let file = dir.join("keys.toml");
        let digest: String = Sha256::digest(b"secret")
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let text = format!(
            "[[key]]\nname = \"books\"\nsha256 = \"{digest}\"\nrequests_per_minute = 2\ntokens_per_day = 100\ncallers = [\"books.internal\"]\n"
        );
        std::fs::write(&file, text).expect("written");
        let config = KeysConfig {
            file: Some(file),
            usage_file: None,
        };
        Keys::open(&config, Some(dir.to_owned())).expect("opened")
    }

    #[test]
    fn budgets_are_kept_and_survive_a_restart() {
        let dir = tempfile::tempdir().expect("a folder");
        let keys = keys(dir.path());
        assert_eq!(
            keys.of_key(None).expect_err("refused").kind,
            Kind::Unauthenticated
        );
        assert_eq!(
            keys.of_key(Some("guess")).expect_err("refused").kind,
            Kind::Unauthenticated
        );
        let books = keys.of_key(Some("secret")).expect("known");
        // The minute may turn in between, once.
        let refused = (0..5).find_map(|_| keys.admit(&books).err()).expect("refused");
        assert_eq!(
            (refused.kind, refused.reason),
            (Kind::ResourceExhausted, "REQUESTS_SPENT")
        );
        assert!(
            refused
                .retry_after
                .is_some_and(|after| after <= Duration::from_secs(60))
        );
        let usage = Usage {
            prompt_tokens: Some(60),
            completion_tokens: Some(60),
            ..Usage::default()
        };
        keys.spend(&books, &usage);
        keys.write();
        let again = self::keys(dir.path());
        let books = again.of_key(Some("secret")).expect("known");
        let refused = again.admit(&books).expect_err("spent");
        assert!(
            matches!(refused.reason, "TOKENS_SPENT" | "REQUESTS_SPENT"),
            "{refused}"
        );
        assert_eq!(again.used.lock().expect("a lock")["books"].day_tokens, 120);
    }

    #[test]
    fn an_answer_that_is_left_before_its_end_counts_too() {
        let dir = tempfile::tempdir().expect("a folder");
        let keys = keys(dir.path());
        let books = keys.of_key(Some("secret")).expect("known");
        let spent = |told: Usage| {
            let before = keys
                .used
                .lock()
                .expect("a lock")
                .get("books")
                .map_or(0, |tally| tally.day_tokens);
            let mut spending = keys.spending(&books);
            spending.came(2);
            spending.tell(told);
            drop(spending);
            keys.used.lock().expect("a lock")["books"].day_tokens - before
        };
        assert_eq!(spent(Usage::default()), 2);
        let told = Usage {
            prompt_tokens: Some(5),
            completion_tokens: Some(7),
            ..Usage::default()
        };
        assert_eq!(spent(told), 12);
    }
}
