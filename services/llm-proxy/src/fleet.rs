//! All upstreams, and which of them a request goes to: by model, through aliases, and among those that have the model by
//! the policy. It looks at what is known and sends nothing.

mod affinity;
mod alias;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use polyphony_error::Fault;
use twox_hash::XxHash64;

use crate::config::{AliasConfig, Policy, When};
use crate::domain::Preference;
use crate::error::Error;
use crate::upstream::{Model, ModelKind, Upstream};
use affinity::Affinity;
pub(crate) use affinity::Prefix;

/// All upstreams.
#[derive(Debug)]
pub(crate) struct Fleet {
    upstreams: ArcSwap<Vec<Arc<Upstream>>>,
    aliases: Vec<AliasConfig>,
    default_model: String,
    policy: Policy,
    turn: AtomicUsize,
    affinity: Affinity,
}

/// Which model is meant, and who has it.
#[derive(Debug, Clone)]
pub(crate) struct Meant {
    /// As it was asked for.
    pub(crate) asked: String,
    /// After aliases.
    pub(crate) model: String,
    /// An alias was taken because nobody who answers has what was asked for.
    pub(crate) stands_in: bool,
    /// Who has it, and what each calls it.
    pub(crate) candidates: Vec<(Arc<Upstream>, String)>,
}

/// Where a request goes.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) upstream: Arc<Upstream>,
    /// What it calls the model.
    pub(crate) there: String,
    pub(crate) policy: Policy,
    /// Why, for a person.
    pub(crate) reason: String,
}

/// A model that can be asked for.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) model: Model,
    pub(crate) upstreams: Vec<Arc<Upstream>>,
}

/// An upstream that has seen the beginning is left when it is so much busier than the least busy one, in shares of its
/// places.
const MUCH_BUSIER: f64 = 0.25;
/// Names that are told to who asks for an unknown one.
const TOLD: usize = 5;

// === impl Fleet ===

impl Fleet {
    pub(crate) fn new(
        upstreams: Vec<Arc<Upstream>>,
        aliases: Vec<AliasConfig>,
        default_model: String,
        policy: Policy,
    ) -> Self {
        Self {
            upstreams: ArcSwap::from_pointee(upstreams),
            aliases,
            default_model,
            policy,
            turn: AtomicUsize::new(0),
            affinity: Affinity::default(),
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> Arc<Vec<Arc<Upstream>>> {
        self.upstreams.load_full()
    }

    /// Puts others in their place: some were found, or are gone.
    pub(crate) fn replace(&self, upstreams: Vec<Arc<Upstream>>) {
        self.upstreams.store(Arc::new(upstreams));
    }

    /// Which model is meant by a name, and who has it.
    ///
    /// # Errors
    /// When nobody has it.
    pub(crate) fn meant(&self, asked: &str, kind: ModelKind) -> Result<Meant, Error> {
        let upstreams = self.all();
        if upstreams.is_empty() {
            return Err(Error::NoUpstream);
        }
        let asked = match asked {
            "" => self.default_model(kind).ok_or(Error::NoUpstream)?,
            asked => asked.to_owned(),
        };
        let now = Instant::now();
        let (mut model, mut stands_in) = (asked.clone(), false);
        // As many as there are, so that aliases of aliases end.
        for _ in 0..=self.aliases.len() {
            let having = having(&upstreams, &model);
            let is_up = having
                .iter()
                .any(|(upstream, _)| upstream.takes_requests(now).is_ok());
            let alias = self.aliases.iter().find_map(|alias| {
                let holds = alias.when == When::Always || !is_up;
                Some((alias::applied(alias, &model)?, alias.when)).filter(|_| holds)
            });
            match alias {
                Some((next, when)) if next != model => {
                    stands_in |= when == When::Unavailable;
                    model = next;
                }
                _ => break,
            }
        }
        let candidates = having(&upstreams, &model);
        if candidates.is_empty() {
            let mut known: Vec<String> = self.listed().into_iter().map(|listed| listed.name).collect();
            known.truncate(TOLD);
            return Err(Error::UnknownModel { model: asked, known });
        }
        Ok(Meant {
            asked,
            model,
            stands_in,
            candidates,
        })
    }

    /// Where a request for this model goes now. Those in `tried` are taken only when there is no other.
    ///
    /// # Errors
    /// When the upstream that the caller wants has not the model, or none takes requests.
    pub(crate) fn choose(
        &self,
        meant: &Meant,
        preference: &Preference,
        prefix: Option<&Prefix>,
        tried: &[Arc<str>],
    ) -> Result<Choice, Error> {
        let wanted = &preference.upstream;
        let mut candidates: Vec<&(Arc<Upstream>, String)> = meant.candidates.iter().collect();
        if !wanted.is_empty() {
            candidates.retain(|(upstream, _)| *upstream.name == **wanted);
            if candidates.is_empty() {
                let text = format!(
                    "names upstream \"{wanted}\", which has not model \"{}\"",
                    meant.model
                );
                return Err(Fault::invalid("route.upstream", text).into());
            }
        }
        let now = Instant::now();
        let mut why = Vec::new();
        candidates.retain(|(upstream, _)| match upstream.takes_requests(now) {
            Ok(()) => true,
            Err(reason) => {
                why.push(reason);
                false
            }
        });
        if candidates.is_empty() {
            return Err(Error::NoneAnswers {
                model: meant.asked.clone(),
                why: why.join("; "),
            });
        }
        for is_good in [
            |upstream: &Upstream, tried: &[Arc<str>], _: Instant| !tried.contains(&upstream.name),
            |upstream: &Upstream, _: &[Arc<str>], now: Instant| !upstream.is_paused(now),
        ] {
            if candidates
                .iter()
                .any(|(upstream, _)| is_good(upstream, tried, now))
            {
                candidates.retain(|(upstream, _)| is_good(upstream, tried, now));
            }
        }
        let policy = preference.policy.unwrap_or(self.policy);
        let ((upstream, there), reason) = if candidates.len() == 1 {
            let alone = if wanted.is_empty() {
                "the only one that has it"
            } else {
                "the one that was named"
            };
            (candidates[0], alone.to_owned())
        } else {
            self.by_policy(policy, &candidates, preference, prefix)
        };
        Ok(Choice {
            upstream: Arc::clone(upstream),
            there: there.clone(),
            policy,
            reason,
        })
    }

    /// The upstream has seen this beginning.
    pub(crate) fn note(&self, prefix: &Prefix, upstream: &Arc<str>) {
        self.affinity.note(prefix, upstream);
    }

    /// The models that can be asked for, by name.
    pub(crate) fn listed(&self) -> Vec<Listed> {
        let mut listed: BTreeMap<String, Listed> = BTreeMap::new();
        for upstream in self.all().iter() {
            for (name, model) in upstream.offers() {
                let entry = listed.entry(name.clone()).or_insert_with(|| Listed {
                    name,
                    aliases: Vec::new(),
                    model: model.clone(),
                    upstreams: Vec::new(),
                });
                entry.upstreams.push(Arc::clone(upstream));
            }
        }
        for alias in &self.aliases {
            for entry in listed.values_mut() {
                entry.aliases.extend(alias::reversed(alias, &entry.name));
            }
        }
        listed.into_values().collect()
    }

    /// What is meant by no name: as configured, else the first that may be asked for this, those whose upstreams answer
    /// before others.
    fn default_model(&self, kind: ModelKind) -> Option<String> {
        if !self.default_model.is_empty() && kind == ModelKind::Chat {
            return Some(self.default_model.clone());
        }
        let now = Instant::now();
        let listed = self.listed();
        let mut may: Vec<&Listed> = listed.iter().filter(|listed| listed.model.may(kind)).collect();
        may.sort_by_key(|listed| {
            let is_up = listed
                .upstreams
                .iter()
                .any(|upstream| upstream.takes_requests(now).is_ok());
            (!is_up, !listed.model.kinds.contains(&kind))
        });
        may.first().map(|listed| listed.name.clone())
    }

    fn by_policy<'a>(
        &self,
        policy: Policy,
        candidates: &[&'a (Arc<Upstream>, String)],
        preference: &Preference,
        prefix: Option<&Prefix>,
    ) -> (&'a (Arc<Upstream>, String), String) {
        match policy {
            Policy::LeastLoad => least_load(candidates),
            Policy::RoundRobin => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed) % candidates.len();
                (
                    candidates[turn],
                    format!("turn {} of {}", turn + 1, candidates.len()),
                )
            }
            Policy::Session => {
                // The highest of the hashes of key and name: when one goes, only its own sessions move.
                let weight = |name: &str| {
                    let seed = XxHash64::oneshot(0, name.as_bytes());
                    XxHash64::oneshot(seed, preference.session_key.as_bytes())
                };
                let best = candidates
                    .iter()
                    .max_by_key(|(upstream, _)| weight(&upstream.name));
                (best.copied().unwrap_or(candidates[0]), "the session's".to_owned())
            }
            Policy::PrefixAffinity => {
                let seen = prefix.and_then(|prefix| self.affinity.longest(prefix));
                let holder = seen.and_then(|(name, length)| {
                    let holder = candidates.iter().find(|(upstream, _)| upstream.name == name)?;
                    Some((*holder, length))
                });
                let shares = candidates.iter().map(|(upstream, _)| upstream.share());
                let least = shares.fold(f64::INFINITY, f64::min);
                match holder {
                    Some((holder, length)) if holder.0.share() <= least + MUCH_BUSIER => {
                        (holder, format!("prefix of {length} bytes"))
                    }
                    Some(_) => {
                        let (chosen, reason) = least_load(candidates);
                        (
                            chosen,
                            format!("{reason}; who has seen the prefix is much busier"),
                        )
                    }
                    None => least_load(candidates),
                }
            }
        }
    }
}

/// Who has the model, and what each calls it.
fn having(upstreams: &[Arc<Upstream>], model: &str) -> Vec<(Arc<Upstream>, String)> {
    let having = upstreams
        .iter()
        .filter_map(|upstream| Some((Arc::clone(upstream), upstream.calls(model)?)));
    having.collect()
}

/// The one with the smallest share of its places taken; of several, any.
fn least_load<'a>(candidates: &[&'a (Arc<Upstream>, String)]) -> (&'a (Arc<Upstream>, String), String) {
    let start = fastrand::usize(..candidates.len());
    let turned = candidates[start..].iter().chain(&candidates[..start]);
    let best = turned.min_by(|(one, _), (other, _)| one.share().total_cmp(&other.share()));
    let best = best.copied().unwrap_or(candidates[0]);
    let ((taken, _), most) = (best.0.lane.load(), best.0.lane.most());
    (best, format!("least load: {taken} of {most} places taken"))
}

#[cfg(test)]
mod tests;
