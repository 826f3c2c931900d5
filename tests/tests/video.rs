//! Videos from the command line, by the real worker, which stands beside the other programs or is installed (`make video`).

use std::process::Command;

use polyphony_tests::{Mesh, binary};

#[test]
fn a_video_is_made_watched_and_fetched_from_the_command_line() {
    let mesh = Mesh::start();
    let at = |name: &str| mesh.folder().join(name).to_str().expect("UTF-8").to_owned();
    let run = |arguments: &[&str]| {
        let output = Command::new(binary("polyphony"))
            .args(arguments)
            .args(["--gateway", &mesh.url()])
            .output()
            .expect("polyphony starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let video = |arguments: &[&str]| {
        let (code, out, error) = run(&[&["video"], arguments].concat());
        assert_eq!(code, Some(0), "{arguments:?} (`make video`): {error}");
        (out, error)
    };
    // No weights are on disk: it is a toy, and that is said.
    let (out, error) = video(&[
        "generate",
        "a cat",
        "--seed",
        "7",
        "-o",
        &at("a.mp4"),
        "--preview",
        &at("a.jpg"),
    ]);
    assert!(
        out.trim().ends_with("a.mp4") && error.contains("random weights"),
        "{error}"
    );
    assert!(
        std::fs::read(at("a.jpg"))
            .expect("a preview")
            .starts_with(&[0xFF, 0xD8])
    );
    let whole = std::fs::read(at("a.mp4")).expect("a file");
    assert_eq!(&whole[4..8], b"ftyp");

    let (listed, _) = video(&["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(listed.trim()).expect("one JSON object");
    assert_eq!(
        (&listed["state"], &listed["dummyWeights"]),
        (&"succeeded".into(), &true.into())
    );
    let name = listed["video"].as_str().expect("a name");
    // A download that broke off goes on where it was.
    let digest = listed["file"]["digest"].as_str().expect("a digest");
    let part = at(&format!(".b.mp4.{}.part", &digest["sha256:".len()..][..16]));
    std::fs::write(part, &whole[..1_000]).expect("written");
    let (fetched, _) = video(&["download", name, "-o", &at("b.mp4"), "--json"]);
    let fetched: serde_json::Value = serde_json::from_str(fetched.trim()).expect("one JSON object");
    assert_eq!(fetched["resumedAt"], 1_000);
    assert_eq!(std::fs::read(at("b.mp4")).expect("a file"), whole);

    let (estimate, _) = video(&["estimate", "a cat", "--dummy"]);
    assert!(estimate.contains("measured"), "{estimate}");
    assert!(video(&["queue"]).0.contains("0 of at most 64 wait"));
    let (long, _) = video(&[
        "generate",
        "a dog",
        "--dummy",
        "--steps",
        "200",
        "--no-wait",
        "--json",
    ]);
    let long: serde_json::Value = serde_json::from_str(long.trim()).expect("one JSON object");
    let long = long["video"].as_str().expect("a name");
    assert!(video(&["cancel", long]).0.contains("cancelled"));
    let (code, _, error) = run(&["video", "watch", long]);
    assert!(code == Some(1) && error.contains("was cancelled"), "{error}");
    video(&["delete", name, long]);
    assert_eq!(video(&["list"]).0, "");

    for (arguments, told) in [
        (&["a cat", "--model", "waver-1.0"][..], "unreleased"),
        (
            &["a cat", "--model", "wan2.1-t2v-14b"],
            "polyphony models pull wan2.1-t2v-14b",
        ),
        (&["a cat", "--dummy", "--size", "100x100"], "spec.size.width"),
        (&["a cat", "--dummy", "--frames", "1000"], "spec.num_frames"),
    ] {
        let (code, _, error) = run(&[&["video", "generate"], arguments].concat());
        assert!(code == Some(1) && error.contains(told), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
