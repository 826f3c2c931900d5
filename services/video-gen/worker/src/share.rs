//! How much of the system's memory this process may have: `/proc/meminfo` tells a container of its whole machine, and who
//! takes more than the container's share is killed. Not here: the memory of GPUs.

use std::fs;
use std::path::Path;

/// The lowest limit of this process's control groups and of those above them, in bytes. None: nothing limits it.
#[cfg(feature = "torch")]
pub(crate) fn limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    lowest(Path::new("/sys/fs/cgroup"), &groups)
}

/// `groups` are the lines of `/proc/self/cgroup`: `0::/path` of version 2, `N:memory:/path` of version 1.
fn lowest(root: &Path, groups: &str) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?);
        if controllers.is_empty() {
            return below(root, group, "memory.max");
        }
        let own = controllers.split(',').any(|controller| controller == "memory");
        own.then(|| below(&root.join("memory"), group, "memory.limit_in_bytes"))?
    });
    limits.min()
}

/// The lowest of a group and of those above it. A container sees its own group at the root, whatever it is called outside.
fn below(root: &Path, group: &str, file: &str) -> Option<u64> {
    let above = Path::new(group.trim_start_matches('/')).ancestors();
    above
        .filter_map(|group| {
            let text = fs::read_to_string(root.join(group).join(file)).ok()?;
            // "max" is no number: nothing is limited here.
            text.trim().parse().ok()
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_lowest_limit_of_all_groups_above_counts() {
        let root = folder(&[
            ("system.slice/memory.max", "8000\n"),
            ("system.slice/media.service/memory.max", "max\n"),
        ]);
        let of = |groups| lowest(root.path(), groups);
        assert_eq!(of("0::/system.slice/media.service\n"), Some(8000));
        assert_eq!(of("0::/user.slice\n"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn a_container_finds_its_own_at_the_root() {
        let root = folder(&[("memory.max", "4294967296\n")]);
        assert_eq!(lowest(root.path(), "0::/\n"), Some(4 << 30));
        assert_eq!(lowest(root.path(), "0::/kubepods/pod7/a1\n"), Some(4 << 30));
    }

    #[test]
    fn version_1_is_read_too() {
        let root = folder(&[("memory/docker/a/memory.limit_in_bytes", "1000\n")]);
        let groups = "12:cpu,cpuacct:/docker/a\n4:memory:/docker/a\n0::/\n";
        assert_eq!(lowest(root.path(), groups), Some(1000));
    }
}
