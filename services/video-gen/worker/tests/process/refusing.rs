//! What the worker refuses and survives: bad lines, bad orders, too little memory, a device that is not there.

use super::*;

#[test]
fn bad_lines_and_bad_orders_are_refused_and_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = Worker::start();
    for line in [
        "nonsense\n",
        "{}\n",
        "{\"command\":\"generate\",\"order\":{\"id\":\"x\"}}\n",
        "\n",
        "[1,2]\n",
    ] {
        worker.say_line(line.as_bytes());
        let event = worker.next();
        assert!(
            matches!(
                &event,
                Event::Failed {
                    id: None,
                    kind: FailureKind::InvalidArgument,
                    ..
                }
            ),
            "{event:?}"
        );
    }
    let absent = Weights::Folder {
        path: folder.path().join("absent"),
    };
    let nowhere = folder.path().join("absent");
    let toy = || toy(folder.path(), "bad");
    let cases = [
        (
            Order {
                model: "sora".into(),
                ..toy()
            },
            FailureKind::UnknownModel,
            "sora",
        ),
        (
            Order {
                model: "waver".into(),
                ..toy()
            },
            FailureKind::UnknownModel,
            "unreleased",
        ),
        (
            Order { width: 50, ..toy() },
            FailureKind::InvalidArgument,
            "width",
        ),
        (
            Order {
                num_frames: 8,
                ..toy()
            },
            FailureKind::InvalidArgument,
            "num_frames",
        ),
        (
            Order {
                weights: absent,
                ..toy()
            },
            FailureKind::Weights,
            "absent",
        ),
        (
            Order {
                output: nowhere.join("a.mp4"),
                ..toy()
            },
            FailureKind::Storage,
            "absent",
        ),
        (
            Order {
                preview_every_steps: 1,
                preview_folder: Some(nowhere),
                ..toy()
            },
            FailureKind::Storage,
            "absent",
        ),
    ];
    for (order, expected, word) in cases {
        worker.generate(&order);
        let heard = worker.until_end("bad");
        let is_step = |event: &Event| matches!(event, Event::Step { .. });
        assert!(!heard.iter().any(is_step), "it was worked on: {heard:?}");
        let Some(Event::Failed { kind, message, .. }) = heard.last() else {
            panic!("{heard:?}")
        };
        assert_eq!(*kind, expected, "{message}");
        assert!(message.contains(word), "{message}");
    }
    worker.generate(&toy());
    assert!(matches!(worker.until_end("bad").last(), Some(Event::Done { .. })));

    // Beyond any line there is no telling where the next one begins.
    worker.say_line(&vec![b'x'; protocol::MAX_LINE_BYTES + 2]);
    assert!(matches!(
        worker.next(),
        Event::Failed {
            kind: FailureKind::InvalidArgument,
            ..
        }
    ));
    assert!(ends(&mut worker.child));
}

/// LibTorch throws where memory is refused; its bindings panic; the worker says so and goes on.
#[test]
fn a_device_without_memory_is_a_failure_and_no_crash() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::new("bash");
    // Room for the libraries and small videos.
    program.args([
        "-c",
        "ulimit -v 1000000; exec \"$0\" --device cpu --threads 1",
        WORKER,
    ]);
    let mut worker = Worker::of(program);
    assert!(matches!(worker.next(), Event::Ready { .. }));
    let large = Order {
        width: 1280,
        height: 720,
        num_inference_steps: 1,
        ..toy(folder.path(), "large")
    };
    worker.generate(&large);
    let heard = worker.until_end("large");
    let Some(Event::Failed {
        kind: FailureKind::Device,
        message,
        ..
    }) = heard.last()
    else {
        panic!("{heard:?}")
    };
    assert!(message.contains("memory"), "{message}");
    worker.generate(&toy(folder.path(), "small"));
    assert!(matches!(
        worker.until_end("small").last(),
        Some(Event::Done { .. })
    ));
    assert_eq!(files(&folder), ["small.mp4"]);
}

#[test]
fn a_device_that_is_not_there_is_told_and_ends_it() {
    for device in ["cuda:99", "tpu"] {
        let mut program = Program::new(WORKER);
        program.args(["--device", device]);
        let mut worker = Worker::of(program);
        assert!(matches!(
            worker.next(),
            Event::Failed {
                kind: FailureKind::Device,
                ..
            }
        ));
        assert!(!worker.child.wait().unwrap().success());
    }
}
