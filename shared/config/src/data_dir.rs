//! Where a user's downloads, models and tools lie: the same answer for the set-up scripts and every process.

use std::ffi::OsString;
use std::path::PathBuf;

/// `$POLYPHONY_HOME`, else `$XDG_DATA_HOME/polyphony`, else `~/.local/share/polyphony`. `variable` reads the environment.
///
/// `None` where no variable says, as for a user without a home. A relative path is ignored (XDG Base Directory
/// Specification 0.8).
pub fn data_dir(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("POLYPHONY_HOME")
        .or_else(|| Some(absolute("XDG_DATA_HOME")?.join("polyphony")))
        .or_else(|| Some(absolute("HOME")?.join(".local/share/polyphony")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_variable_decides() {
        let dir = |pairs: &'static [(&str, &str)]| {
            data_dir(move |name: &str| {
                pairs
                    .iter()
                    .find(|(n, _)| *n == name)
                    .map(|(_, v)| OsString::from(v))
            })
        };
        assert_eq!(
            dir(&[("HOME", "/home/a")]),
            Some("/home/a/.local/share/polyphony".into())
        );
        assert_eq!(
            dir(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "/data")]),
            Some("/data/polyphony".into())
        );
        assert_eq!(
            dir(&[("XDG_DATA_HOME", "/data"), ("POLYPHONY_HOME", "/p")]),
            Some("/p".into())
        );
        assert_eq!(
            dir(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "data")]),
            Some("/home/a/.local/share/polyphony".into())
        );
        assert_eq!(dir(&[]), None);
    }
}
