//! Where the library may be: a named file, the environment, a Python wheel, the system.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::{Error, InferenceConfig};

/// Debian's multiarch folders come first: a machine's own package is the more deliberate one.
const SYSTEM: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/local/lib",
    "/usr/lib64",
    "/usr/lib",
];

/// The places, in order, as data.
#[derive(Debug)]
pub(super) struct Search {
    /// From the configuration: this one or none.
    named: Option<PathBuf>,
    /// `ORT_DYLIB_PATH`, which other users of the binding know.
    variable: Option<PathBuf>,
    /// Python environments or unpacked wheels.
    wheels: Vec<PathBuf>,
    /// The system's folders.
    system: Vec<PathBuf>,
}

// === impl Search ===

impl Search {
    pub(super) fn of_process(config: &InferenceConfig) -> Self {
        let home = std::env::var_os("HOME");
        let expand = |path: &PathBuf| expand_home(path, home.as_ref());
        let set_up = polyphony_config::data_dir(|name| std::env::var_os(name)).map(|dir| dir.join("wheels"));
        Self {
            named: config.onnxruntime.as_ref().map(expand),
            variable: std::env::var_os("ORT_DYLIB_PATH")
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            wheels: config.wheel_dirs.iter().map(expand).chain(set_up).collect(),
            system: SYSTEM.iter().map(PathBuf::from).collect(),
        }
    }

    /// The first place that has it. A named file is never passed over for another.
    pub(super) fn find(&self) -> Result<PathBuf, Error> {
        let mut tried = Vec::new();
        if let Some(named) = self.named.as_ref().or(self.variable.as_ref()) {
            tried.push(named.clone());
            if named.is_file() {
                return Ok(named.clone());
            }
        } else {
            let in_wheels = self.wheels.iter().flat_map(|wheel| capi_folders(wheel));
            for folder in in_wheels.chain(self.system.iter().cloned()) {
                if let Some(library) = newest_in(&folder) {
                    return Ok(library);
                }
                tried.push(folder);
            }
        }
        let tried: Vec<_> = tried.iter().map(|path| path.display().to_string()).collect();
        Err(Error::RuntimeMissing {
            tried: tried.join(", "),
        })
    }
}

fn expand_home(path: &Path, home: Option<&OsString>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => Path::new(home).join(rest),
        _ => path.to_owned(),
    }
}

/// Where a wheel keeps its library, for a virtual environment, a `pip install --target` folder, or an unpacked wheel.
fn capi_folders(wheel: &Path) -> Vec<PathBuf> {
    let mut folders = vec![wheel.join("onnxruntime/capi")];
    let mut pythons: Vec<_> = std::fs::read_dir(wheel.join("lib"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("python"))
        .map(|entry| entry.path().join("site-packages/onnxruntime/capi"))
        .collect();
    pythons.sort();
    folders.extend(pythons);
    folders
}

/// `libonnxruntime.so`, or the one with the highest version behind it.
fn newest_in(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let versioned = entries.filter_map(|entry| {
        let name = entry.file_name().to_str()?.to_owned();
        let version = name.strip_prefix("libonnxruntime.so")?;
        let numbers: Vec<u32> = version
            .split('.')
            .skip(1)
            .map(str::parse)
            .collect::<Result<_, _>>()
            .ok()?;
        Some((numbers, entry.path()))
    });
    versioned.max().map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere() -> Search {
        Search {
            named: None,
            variable: None,
            wheels: Vec::new(),
            system: Vec::new(),
        }
    }

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        std::fs::write(path, b"").expect("file");
    }

    #[test]
    fn a_wheel_in_a_virtual_environment_is_found_and_the_newest_wins() {
        let venv = tempfile::tempdir().expect("folder");
        let capi = venv.path().join("lib/python3.11/site-packages/onnxruntime/capi");
        touch(&capi.join("libonnxruntime.so.1.9.0"));
        touch(&capi.join("libonnxruntime.so.1.31.1"));
        touch(&capi.join("libonnxruntime_providers_shared.so"));
        let search = Search {
            wheels: vec![venv.path().to_owned()],
            ..nowhere()
        };
        assert_eq!(
            search.find().expect("found"),
            capi.join("libonnxruntime.so.1.31.1")
        );
    }

    #[test]
    fn a_named_file_is_never_passed_over() {
        let folder = tempfile::tempdir().expect("folder");
        touch(&folder.path().join("onnxruntime/capi/libonnxruntime.so.1.31.1"));
        let named = folder.path().join("missing.so");
        let search = Search {
            named: Some(named.clone()),
            wheels: vec![folder.path().to_owned()],
            ..nowhere()
        };
        let error = search.find().expect_err("the named file is absent").to_string();
        assert!(
            error.contains(&named.display().to_string()) && error.contains("pip install"),
            "{error}"
        );
    }

    #[test]
    fn what_was_tried_is_said() {
        let folder = tempfile::tempdir().expect("folder");
        let search = Search {
            system: vec![folder.path().to_owned()],
            wheels: vec!["/wheels".into()],
            ..nowhere()
        };
        let error = search.find().expect_err("nothing there").to_string();
        assert!(error.contains("/wheels/onnxruntime/capi"), "{error}");
        assert!(error.contains(&folder.path().display().to_string()), "{error}");
    }

    #[test]
    fn the_home_folder_is_filled_in() {
        let home = OsString::from("/home/ann");
        assert_eq!(
            expand_home(Path::new("~/venv"), Some(&home)),
            PathBuf::from("/home/ann/venv")
        );
        assert_eq!(
            expand_home(Path::new("/venv"), Some(&home)),
            PathBuf::from("/venv")
        );
    }
}
