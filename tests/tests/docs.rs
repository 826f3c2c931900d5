//! What people read is true: commands that the programs know, and links that lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use polyphony_tests::{binary, repository};

/// The texts for people.
fn texts() -> Vec<(PathBuf, String)> {
    let root = repository();
    let docs = fs::read_dir(root.join("docs")).expect("docs");
    let docs = docs.map(|entry| entry.expect("an entry").path());
    [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "charts/polyphony/README.md",
    ]
    .map(|name| root.join(name))
    .into_iter()
    .chain(docs)
    .map(|path| {
        let text = fs::read_to_string(&path).expect("UTF-8");
        (path, text)
    })
    .collect()
}

/// The commands that a person is shown to type, without what only a shell knows: comments, pipes, files.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    let typed = text.lines().filter_map(|line| line.strip_prefix("$ "));
    let parts = typed.flat_map(|line| {
        let mut quote = None;
        let said = line.split(" # ").next().unwrap_or_default();
        said.split(move |letter| {
            match quote {
                Some(open) if open == letter => quote = None,
                None if "'\"".contains(letter) => quote = Some(letter),
                _ => {}
            }
            quote.is_none() && ";|>&".contains(letter)
        })
    });
    parts.map(str::trim).filter(|part| part.starts_with("polyphony "))
}

#[test]
fn every_command_that_is_shown_is_one() {
    let folder = binary("polyphony").parent().expect("a folder").to_owned();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").expect("a PATH"));
    let mut tried = 0;
    for (file, text) in texts() {
        for command in commands(&text) {
            tried += 1;
            // What stands before it has to be right for `--help` to be come to.
            let output = Command::new("bash")
                .args(["-c", &format!("{command} --help")])
                .env("PATH", &path)
                .output()
                .expect("bash");
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {command}: {error}", file.display());
        }
    }
    assert!(tried > 50, "{tried}");
    let wrong = Command::new(binary("polyphony"))
        .args(["ocr", "--sheets", "1", "--help"])
        .output()
        .expect("it starts");
    assert!(!wrong.status.success(), "a flag that is none is told before help");
}

#[test]
fn every_link_leads_to_a_file_and_its_heading() {
    let mut followed = 0;
    for (file, text) in texts() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            followed += 1;
            let (to, heading) = link.split_once('#').unwrap_or((link, ""));
            let to = if to.is_empty() {
                file.clone()
            } else {
                file.parent().expect("a folder").join(to)
            };
            assert!(to.exists(), "{}: {link}", file.display());
            assert!(
                heading.is_empty() || headings(&to).iter().any(|one| one == heading),
                "{}: {link}: {:?}",
                file.display(),
                headings(&to)
            );
        }
    }
    assert!(followed > 60, "{followed}");
}

/// Headings as they stand in links.
fn headings(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).expect("UTF-8");
    let heads = text.lines().filter(|line| line.starts_with('#'));
    heads
        .map(|head| {
            let words = head.trim_start_matches('#').trim().to_lowercase();
            let kept = words.chars().filter(|c| c.is_alphanumeric() || " -".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}
