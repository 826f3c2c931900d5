//! What the process uses, under the names that every Prometheus client library gives to it. Read from `/proc` at each
//! scrape; what cannot be read (another system than Linux) is left out.

use std::fmt::{Display, Write as _};
use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Clock ticks a second in `/proc/self/stat`: `USER_HZ`, which Linux keeps at 100 for programs whatever its own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// This process.
#[derive(Debug, Clone)]
pub(super) struct Process {
    service: Arc<str>,
    started: Duration,
}

// === impl Process ===

impl Process {
    /// To be called when the process starts.
    pub(super) fn new(service: &str) -> Self {
        Self {
            service: service.into(),
            // A clock before 1970 is no clock.
            started: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    pub(super) fn render(&self, out: &mut String) {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let rss = status_field(&status, "VmRSS:").map(|kib| kib * 1024);
        let threads = status_field(&status, "Threads:");
        gauge(out, "process_resident_memory_bytes", "Resident memory.", rss);
        gauge(out, "process_threads", "Threads.", threads);
        gauge(out, "process_open_fds", "Open file descriptors.", open_fds());
        gauge(
            out,
            "process_max_fds",
            "Most file descriptors that may be open.",
            max_fds(),
        );
        let started = Some(self.started.as_secs_f64());
        gauge(
            out,
            "process_start_time_seconds",
            "Start, in seconds since 1970.",
            started,
        );
        let cpu = "process_cpu_seconds_total";
        family(out, cpu, "counter", "Processor time used.", "", cpu_seconds());
        let labels = format!(
            "{{service=\"{}\",version=\"{}\"}}",
            escaped(&self.service),
            env!("CARGO_PKG_VERSION")
        );
        let build = "polyphony_build_info";
        family(out, build, "gauge", "What runs here; always 1.", &labels, Some(1));
    }
}

fn gauge(out: &mut String, name: &str, help: &str, value: Option<impl Display>) {
    family(out, name, "gauge", help, "", value);
}

fn family(out: &mut String, name: &str, kind: &str, help: &str, labels: &str, value: Option<impl Display>) {
    if let Some(value) = value {
        let _infallible = write!(
            out,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{labels} {value}\n\n"
        );
    }
}

/// A label value as the format wants it.
fn escaped(value: &str) -> String {
    value
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

fn status_field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open_fds() -> Option<usize> {
    // Less the one that reads the folder.
    fs::read_dir("/proc/self/fd").ok()?.count().checked_sub(1)
}

fn max_fds() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in brackets, may hold spaces; user and system time are fields 14 and 15.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) as f64 / TICKS_PER_SECOND)
}
