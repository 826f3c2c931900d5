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

    /// Looks at the file of keys and writes the usage, every so often, as long as it is polled.
    pub(crate) async fn keep(&self) {
        const INTERVAL: Duration = Duration::from_secs(5);
        let mut changed = self.file.as_deref().and_then(file::changed);
        loop {
            tokio::time::sleep(INTERVAL).await;
            if let Some(path) = &self.file {
                let now = file::changed(path);
                if now.is_some() && now != changed {
                    changed = now;
                    match KeyFile::read(path) {
                        Ok(known) => self.known.store(Arc::new(known)),
                        Err(error) => {
                            let error = polyphony_error::chain(&error).to_string();
                            tracing::warn!(error, "the keys stay as they were");
                        }
                    }
                }
            }
            self.write();
        }
    }

    /// Writes the usage, if there is something new.
    pub(crate) fn write(&self) {
        let Some(path) = &self.usage_file else { return };
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
}
