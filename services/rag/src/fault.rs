//! Places where a test may stop this process, to kill it there.
//!
//! In a debug build a process that finds `POLYPHONY_RAG_STOP_AT` in its environment stops for ever when it comes to the
//! place of that name, after it has written the file that `POLYPHONY_RAG_STOP_FILE` names. In any other build there are no
//! such places.

/// A place of this name.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    use std::sync::LazyLock;

    static STOP_AT: LazyLock<Option<(String, std::path::PathBuf)>> = LazyLock::new(|| {
        let at = std::env::var("POLYPHONY_RAG_STOP_AT").ok()?;
        let file = std::env::var_os("POLYPHONY_RAG_STOP_FILE")?;
        Some((at, file.into()))
    });
    let Some((at, file)) = &*STOP_AT else { return };
    if at == name {
        drop(std::fs::write(file, name));
        loop {
            std::thread::park();
        }
    }
}

#[cfg(not(debug_assertions))]
pub(crate) const fn point(_name: &str) {}
