//! What a process holds, read from `/proc`: to show that memory stays flat and nothing leaks. Linux only.

use std::fs;

/// A reading of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meters {
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// The most resident memory there ever was, in bytes.
    pub peak_rss_bytes: u64,
    /// Open file descriptors.
    pub open_fds: usize,
    /// Threads.
    pub threads: usize,
}

// === impl Meters ===

impl Meters {
    /// Reads this process.
    pub fn of_self() -> Self {
        Self::read("self")
    }

    /// Reads the process with this id, which must be ours.
    pub fn of(pid: u32) -> Self {
        Self::read(&pid.to_string())
    }

    fn read(process: &str) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process lives");
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next());
            number
                .and_then(|number| number.parse().ok())
                .unwrap_or_else(|| panic!("/proc/{process}/status has no {name}"))
        };
        let open_fds = fs::read_dir(format!("/proc/{process}/fd"))
            .expect("the process is ours")
            .count();
        Self {
            rss_bytes: field("VmRSS") * 1024,
            peak_rss_bytes: field("VmHWM") * 1024,
            // Reading the folder takes a descriptor of our own.
            open_fds: open_fds - usize::from(process == "self"),
            threads: usize::try_from(field("Threads")).expect("a number of threads"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_seen() {
        let before = Meters::of_self();
        let memory = vec![1_u8; 64 << 20];
        let file = fs::File::open("/proc/self/status").expect("open");
        let after = Meters::of(std::process::id());
        assert!(
            after.rss_bytes >= before.rss_bytes + (60 << 20),
            "{before:?} {after:?}"
        );
        assert!(after.peak_rss_bytes >= after.rss_bytes);
        assert!(after.open_fds > before.open_fds && after.threads >= 1);
        drop((memory, file));
    }
}
