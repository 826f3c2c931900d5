//! What was used, by name: the minute's requests, the day's tokens and the totals, and the file they are kept in.
//!
//! The file is written to a new one beside it which then takes its place, so it is whole at any time; what was used in the
//! last seconds before a crash is forgotten.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::file::FileError;

/// What one has used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Tally {
    /// Since ever.
    pub(super) requests: u64,
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
    /// The day, counted from 1970, UTC.
    day: u64,
    pub(super) day_tokens: u64,
    /// The minute, counted likewise.
    minute: u64,
    pub(super) minute_requests: u64,
    /// Not written yet.
    #[serde(skip)]
    pub(super) is_new: bool,
}

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

pub(super) fn until_next_minute(now: SystemTime) -> Duration {
    Duration::from_secs(MINUTE - seconds(now) % MINUTE)
}

pub(super) fn until_next_day(now: SystemTime) -> Duration {
    Duration::from_secs(DAY - seconds(now) % DAY)
}

// === impl Tally ===

impl Tally {
    /// A new minute or day begins with nothing used.
    pub(super) fn turn(&mut self, now: SystemTime) {
        let (minute, day) = (seconds(now) / MINUTE, seconds(now) / DAY);
        if self.minute != minute {
            (self.minute, self.minute_requests) = (minute, 0);
        }
        if self.day != day {
            (self.day, self.day_tokens) = (day, 0);
        }
    }
}

/// What was used before; nothing where there is no file.
pub(super) fn read(path: &Path) -> Result<HashMap<String, Tally>, FileError> {
    let wrap = |source| FileError::Io {
        path: path.to_owned(),
        source,
    };
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| FileError::Content {
            path: path.to_owned(),
            message: format!("is not what was written ({error}); move it away to begin anew"),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(HashMap::new()),
        Err(error) => Err(wrap(error)),
    }
}

pub(super) fn write(path: &Path, tallies: &HashMap<String, Tally>) -> Result<(), FileError> {
    let put = || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let beside = path.with_extension("new");
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(&serde_json::to_vec_pretty(tallies)?)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    put().map_err(|source| FileError::Io {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_and_days_begin_anew() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let mut tally = Tally::default();
        tally.turn(at(DAY * 3 + 59));
        (tally.day_tokens, tally.minute_requests) = (7, 7);
        tally.turn(at(DAY * 3 + 60));
        assert_eq!((tally.day_tokens, tally.minute_requests), (7, 0));
        tally.turn(at(DAY * 4));
        assert_eq!(tally.day_tokens, 0);
        assert_eq!(until_next_minute(at(59)), Duration::from_secs(1));
        assert_eq!(until_next_day(at(DAY)), Duration::from_secs(DAY));
    }
}
