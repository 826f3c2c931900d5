//! An answer of the cache, told as one that has just been given.

use tokio::time::Instant;

use super::{Completed, Gone, Job, Out, Started, Told, tell};
use crate::domain::{CallDelta, Delta, Part, Times};

/// Tells an answer that was kept: all of it at once.
pub(super) async fn replay(kept: &Completed, job: &Job, began: Instant, out: &Out) -> Result<(), Gone> {
    let times = Times {
        total: began.elapsed(),
        ..Times::default()
    };
    let started = Started {
        id: job.id.clone(),
        model: kept.model.clone(),
        way: None,
        cached: true,
        times,
    };
    tell(out, Told::Started(started)).await?;
    for choice in &kept.choices {
        let content = choice.message.content.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Image { .. } | Part::Audio { .. } => None,
        });
        let calls = choice.message.tool_calls.iter().enumerate();
        let delta = Delta {
            index: choice.index,
            content: content.collect(),
            reasoning: choice.message.reasoning.clone(),
            refusal: choice.message.refusal.clone(),
            tool_calls: calls
                .map(|(at, call)| CallDelta {
                    index: u32::try_from(at).unwrap_or(u32::MAX),
                    id: call.id.clone(),
                    name: call.name.clone(),
                    arguments: call.arguments.clone(),
                })
                .collect(),
            logprobs: Vec::new(),
        };
        tell(out, Told::Delta(delta)).await?;
    }
    let completed = Completed {
        way: None,
        times,
        ..kept.clone()
    };
    tell(out, Told::Completed(completed)).await
}
