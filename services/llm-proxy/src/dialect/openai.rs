//! Any other server with OpenAI's API: it is well when it lists its models, or answers at the path that the operator names.

use http::StatusCode;

use super::look::{Probe, Trouble};
use crate::upstream::Sight;

pub(super) async fn look(probe: &Probe<'_>) -> Result<Sight, Trouble> {
    let own = &probe.upstream.config.health_path;
    if !own.is_empty() {
        probe.health(own).await?;
    }
    match probe.models().await {
        Ok((_, models)) => Ok(Sight::healthy(models)),
        // Some have no list; the operator says what they have.
        Err(Trouble::Status(said))
            if matches!(
                said.status,
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
            ) && !probe.upstream.config.models.is_empty() =>
        {
            Ok(Sight::healthy(Vec::new()))
        }
        Err(trouble) => Err(trouble),
    }
}
