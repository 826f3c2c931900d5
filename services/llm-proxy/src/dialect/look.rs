//! The questions by which an upstream is looked at, and what their answers have in common.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use crate::failure::{Said, What};
use crate::upstream::{Health, Model, Outgoing, Sight, Upstream};

/// Asks an upstream about itself.
#[derive(Debug)]
pub(crate) struct Probe<'a> {
    pub(crate) upstream: &'a Upstream,
    /// How long each answer may take.
    pub(crate) patience: Duration,
}

/// Why a question has no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It does not answer.
    Unreachable(String),
    /// It answers with another status than success.
    Status(Said),
    /// It answers with what was not expected.
    Garbage(&'static str),
}

/// The most that is read of an answer.
const MOST: usize = 4 << 20;

// === impl Probe ===

impl Probe<'_> {
    /// The answer as bytes.
    pub(crate) async fn get(&self, path: &str) -> Result<Bytes, Trouble> {
        self.ask(Outgoing::get(path)).await
    }

    /// The answer as JSON.
    pub(crate) async fn json(&self, path: &str) -> Result<Value, Trouble> {
        parsed(&self.get(path).await?)
    }

    /// The answer to a question in JSON.
    pub(crate) async fn post(&self, path: &str, question: &Value) -> Result<Value, Trouble> {
        let outgoing = Outgoing::new(Method::POST, path, Bytes::from(question.to_string()));
        parsed(&self.ask(outgoing).await?)
    }

    /// Whether it is well, as it says itself at `path` or where the operator says.
    pub(crate) async fn health(&self, path: &str) -> Result<(), Trouble> {
        let own = &self.upstream.config.health_path;
        self.get(if own.is_empty() { path } else { own }).await.map(drop)
    }

    /// `/v1/models`, as OpenAI has it.
    pub(crate) async fn models(&self) -> Result<(Value, Vec<Model>), Trouble> {
        let list = self.json("/v1/models").await?;
        let data = list.get("data").and_then(Value::as_array);
        let data = data.ok_or(Trouble::Garbage("/v1/models has no \"data\""))?;
        let models = data.iter().filter_map(|entry| {
            let mut model = Model::new(entry.get("id")?.as_str()?);
            let length = entry
                .get("max_model_len")
                .or_else(|| entry.get("context_length"))
                .or_else(|| entry.get("meta")?.get("n_ctx"));
            model.context_length = number(length);
            Some(model)
        });
        let models = models.collect();
        Ok((list, models))
    }

    async fn ask(&self, outgoing: Outgoing) -> Result<Bytes, Trouble> {
        let asked = async {
            let response = self.upstream.send(outgoing).await?;
            let (head, body) = response.into_parts();
            let body = self.upstream.whole(body, MOST).await?;
            Ok::<_, What>((head, body))
        };
        let answered = timeout(self.patience, asked).await;
        let (head, body) = match answered {
            Err(_) => return Err(Trouble::Unreachable(format!("no answer in {:?}", self.patience))),
            Ok(Err(What::Connect(why) | What::Broke(why))) => return Err(Trouble::Unreachable(why)),
            Ok(Err(_)) => return Err(Trouble::Garbage("its answer is too long")),
            Ok(Ok(answer)) => answer,
        };
        if head.status.is_success() {
            Ok(body)
        } else {
            Err(Trouble::Status(Said::of(head.status, &head.headers, body)))
        }
    }
}

/// The sum of all samples of a metric in Prometheus' text.
pub(crate) fn gauge(text: &[u8], name: &str) -> Option<f32> {
    let text = std::str::from_utf8(text).ok()?;
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let is_name = rest.starts_with([' ', '{']);
        let value = rest.rsplit(' ').next()?;
        is_name.then(|| value.parse::<f32>().ok()).flatten()
    });
    samples.reduce(|sum, value| sum + value)
}

/// A whole number of JSON, 0 where there is none.
pub(crate) fn number(value: Option<&Value>) -> u32 {
    value
        .and_then(Value::as_u64)
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or(0)
}

fn parsed(body: &[u8]) -> Result<Value, Trouble> {
    serde_json::from_slice(body).map_err(|_| Trouble::Garbage("its answer is not JSON"))
}

impl From<Trouble> for Sight {
    fn from(trouble: Trouble) -> Self {
        let (health, message) = match trouble {
            Trouble::Unreachable(why) => (Health::Unhealthy, why),
            Trouble::Garbage(what) => (Health::Unhealthy, what.to_owned()),
            Trouble::Status(said) => {
                let is_loading = said.status == StatusCode::SERVICE_UNAVAILABLE
                    && said.message.to_ascii_lowercase().contains("loading");
                let message = match said.status {
                    // Its words may hold a part of the key.
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                        "it does not accept the key that the proxy has for it (api_key_file)".to_owned()
                    }
                    status if said.message.is_empty() => format!("it answers with {status}"),
                    _ => said.message,
                };
                (
                    if is_loading {
                        Health::Loading
                    } else {
                        Health::Unhealthy
                    },
                    message,
                )
            }
        };
        Self {
            health,
            message,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_metric_are_summed_and_others_left() {
        let text = b"# HELP vllm:num_requests_running x\nvllm:num_requests_running{model_name=\"a\"} 2.0\n\
            vllm:num_requests_running{model_name=\"b c\"} 3.0\nvllm:num_requests_running_max 9\nplain 0.5\n";
        assert_eq!(gauge(text, "vllm:num_requests_running"), Some(5.0));
        assert_eq!(gauge(text, "plain"), Some(0.5));
        assert_eq!(gauge(text, "absent"), None);
    }
}
