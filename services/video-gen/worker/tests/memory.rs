//! What a video is said to take is what it takes, on a processor, where a process can be weighed; and a model whose halves
//! take turns takes less, and makes the same.

use std::process::Command as Program;

use polyphony_video_worker::device::KERNEL_BYTES;
use polyphony_video_worker::estimate::{Geometry, WeightBytes, estimate};
use polyphony_video_worker::protocol::{Command, Event, Order, Part, Precision, Sampler, Weights};
use polyphony_video_worker::shapes::{Shapes, TextShape};
use polyphony_video_worker::stop::Stop;
use polyphony_video_worker::wan::pipeline::{Pipeline, Progress};

use crate::parity::{cpu, order as parity_order, repository};
use crate::process::{WORKER, Worker, toy};

/// How far above what is measured an estimate may be, without what kernels take. Below it may not be at all.
const ABOVE: f64 = 1.1;

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// What a worker took that made this video alone, without what it held before.
fn weigh(order: &Order) -> u64 {
    let mut program = Program::new(WORKER);
    program.args(["--device", "cpu", "--threads", "2"]);
    let mut worker = Worker::of(program);
    let Event::Ready {
        base_memory_bytes, ..
    } = worker.next()
    else {
        panic!("it is not ready")
    };
    worker.generate(order);
    let heard = worker.until_end(&order.id);
    let Some(Event::Done {
        peak_memory_bytes, ..
    }) = heard.last()
    else {
        panic!("{heard:?}")
    };
    peak_memory_bytes - (base_memory_bytes - KERNEL_BYTES)
}

#[test]
fn estimates_are_what_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let sized = |width, height, num_frames| Order {
        width,
        height,
        num_frames,
        num_inference_steps: 2,
        ..toy(folder.path(), "weighed")
    };
    let tiled = Order {
        vae_tiling: true,
        ..sized(304, 288, 17)
    };
    let glanced = Order {
        preview_every_steps: 1,
        ..sized(384, 256, 5)
    };
    // Long ones leave most of a heap behind when they have been denoised.
    let long = sized(192, 112, 81);
    let longer = Order {
        num_inference_steps: 12,
        ..sized(320, 192, 81)
    };
    for order in [
        sized(192, 112, 17),
        sized(320, 192, 1),
        sized(320, 192, 17),
        tiled,
        glanced,
        long,
        longer,
    ] {
        let measured = mebibytes(weigh(&order));
        let estimate = estimate(&Shapes::TOY, &Geometry::of(&order), Precision::Fp32);
        let estimated = mebibytes(estimate.peak_memory_bytes);
        let what = format!(
            "{}x{}, {} frames, tiles {}: {measured:.1} MiB were taken, {estimated:.1} estimated besides kernels",
            order.width, order.height, order.num_frames, order.vae_tiling
        );
        println!("{what}");
        assert!(
            measured <= estimated + mebibytes(KERNEL_BYTES),
            "too little: {what}"
        );
        // The system gives the room for the frames of tiles as they are written; a GPU's is taken at once, so it counts.
        let unwritten = if order.vae_tiling {
            mebibytes(12 * u64::from(order.width * order.height * order.num_frames))
        } else {
            0.0
        };
        assert!(estimated - unwritten <= measured * ABOVE, "too much: {what}");
    }
}

/// A toy but for its text encoder, which is far the largest part, as umT5-XXL is of Wan 2.1 1.3B.
const TOP_HEAVY: Shapes = Shapes {
    text: TextShape {
        vocab_size: 8192,
        d_model: 512,
        d_kv: 64,
        d_ff: 2048,
        num_layers: 6,
        num_heads: 8,
        ..Shapes::TOY.text
    },
    transformer: polyphony_video_worker::shapes::TransformerShape {
        text_dim: 512,
        ..Shapes::TOY.transformer
    },
    ..Shapes::TOY
};
const TURNS: &str = "POLYPHONY_TEST_TURNS";

/// What is weighed: it is called by the test below, alone in its process.
#[test]
fn a_model_is_weighed() {
    let Some(turns) = std::env::var_os(TURNS) else {
        return;
    };
    let offload_text_encoder = turns == "true";
    let device = cpu();
    let order = Order {
        offload_text_encoder,
        prompt: "a cat ".repeat(100),
        ..parity_order(Sampler::Unipc, 5.0)
    };
    let before = device.held();
    device.watch_peak();
    let mut pipeline = Pipeline::random(TOP_HEAVY, device);
    pipeline.load(offload_text_encoder, &Stop::default()).unwrap();
    let mut denoising = 0;
    pipeline
        .make(&order, &Stop::default(), &mut |progress| {
            if let Progress::Step { step: 1, .. } = progress {
                denoising = device.held();
            }
            Ok(())
        })
        .unwrap();
    println!("weighed {} {}", device.peak() - before, denoising - before);
}

#[test]
fn a_model_whose_halves_take_turns_frees_its_encoder() {
    let weigh = |turns: &str| -> (f64, f64) {
        let output = Program::new(std::env::current_exe().unwrap())
            .args(["memory::a_model_is_weighed", "--exact", "--nocapture"])
            .env(TURNS, turns)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let line = said
            .lines()
            .find_map(|line| line.strip_prefix("weighed "))
            .expect(&said);
        let mut numbers = line.split(' ').map(|number| mebibytes(number.parse().unwrap()));
        (numbers.next().unwrap(), numbers.next().unwrap())
    };
    let weights = WeightBytes::of(&TOP_HEAVY, Precision::Fp32);
    let (encoder, rest) = (
        mebibytes(weights.text_encoder),
        mebibytes(weights.transformer_and_vae),
    );
    assert!(encoder > 100.0 && rest < 5.0, "{encoder} {rest}");
    let (both, turns) = (weigh("false"), weigh("true"));
    println!("encoder {encoder:.0} MiB; peak and denoising with both {both:.0?}, in turns {turns:.0?}");
    // While it is denoised the encoder is gone, but for what LibTorch itself took meanwhile.
    assert!(both.1 > encoder + rest, "{both:?}");
    assert!(turns.1 < both.1 - 0.9 * encoder, "{turns:?} {both:?}");
    assert!(turns.0 <= both.0 + mebibytes(KERNEL_BYTES), "{turns:?} {both:?}");
}

/// What of a model was brought while a video was made, and the video.
fn made(pipeline: &mut Pipeline, order: &Order) -> (Vec<Part>, Vec<u8>) {
    let mut brought = Vec::new();
    let frames = pipeline
        .make(order, &Stop::default(), &mut |progress| {
            if let Progress::Loaded { part, .. } = progress {
                brought.push(part);
            }
            Ok(())
        })
        .expect("it is made");
    (brought, frames.rgb)
}

#[test]
fn the_bytes_are_the_same_whether_the_halves_take_turns_or_not() {
    let open = || Pipeline::open(&repository(), &[Shapes::TOY], "toy", cpu(), &Stop::default()).unwrap();
    let weights = WeightBytes::of(&Shapes::TOY, Precision::Fp32);
    let both = parity_order(Sampler::Unipc, 5.0);
    let turns = Order {
        offload_text_encoder: true,
        ..both.clone()
    };
    let whole = [Part::TextEncoder, Part::TransformerAndVae];

    let mut pipeline = open();
    pipeline.load(false, &Stop::default()).unwrap();
    assert_eq!(pipeline.bytes(), weights.most(false));
    let (brought, resident) = made(&mut pipeline, &both);
    assert_eq!((brought, pipeline.bytes()), (vec![], weights.most(false)));

    let mut other = open();
    other.load(true, &Stop::default()).unwrap();
    assert_eq!(other.bytes(), 0);
    let (brought, offloaded) = made(&mut other, &turns);
    assert!(resident == offloaded, "another video");
    assert_eq!(brought, whole);
    assert_eq!(other.bytes(), weights.transformer_and_vae, "the encoder is gone");

    // The same prompts again need no encoder, whatever else is different; other prompts do.
    let another_seed = Order {
        seed: 8,
        ..turns.clone()
    };
    let (brought, different) = made(&mut other, &another_seed);
    assert!(brought.is_empty() && different != resident, "{brought:?}");
    let another_prompt = Order {
        prompt: "a dog".into(),
        ..turns.clone()
    };
    let (brought, different) = made(&mut other, &another_prompt);
    assert_eq!(brought, whole);
    assert!(different != resident);

    // From one way to the other and back.
    let (brought, again) = made(&mut other, &both);
    assert!(brought == [Part::TextEncoder] && again == resident, "{brought:?}");
    assert_eq!(other.bytes(), weights.most(false));
    let (brought, again) = made(&mut other, &turns);
    assert!(brought.is_empty() && again == resident, "{brought:?}");
    assert_eq!(other.bytes(), weights.transformer_and_vae);
    let (brought, _) = made(&mut other, &another_prompt);
    assert_eq!(brought, whole);
}

#[test]
fn a_worker_tells_what_takes_turns_and_counts_its_loading() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = Worker::start();
    let weights = Weights::Folder { path: repository() };
    let bytes = WeightBytes::of(&Shapes::TOY, Precision::Fp32);
    worker.say(&Command::Load {
        model: "wan".into(),
        weights: weights.clone(),
        offload_text_encoder: true,
    });
    assert!(matches!(worker.next(), Event::Loading { .. }));
    let Event::Loaded { bytes: told, .. } = worker.next() else {
        panic!("it is not loaded")
    };
    assert_eq!(told, bytes.transformer_and_vae.max(bytes.text_encoder));
    let order = Order {
        weights: weights.clone(),
        offload_text_encoder: true,
        ..toy(folder.path(), "turns")
    };
    worker.generate(&order);
    let heard = worker.until_end("turns");
    let parts: Vec<(Part, u64)> = heard
        .iter()
        .filter_map(|event| match event {
            Event::PartLoaded {
                part, bytes, seconds, ..
            } if *seconds > 0.0 => Some((*part, *bytes)),
            _ => None,
        })
        .collect();
    assert_eq!(
        parts,
        [
            (Part::TextEncoder, bytes.text_encoder),
            (Part::TransformerAndVae, bytes.transformer_and_vae)
        ]
    );
    let Some(Event::Done { timings, sha256, .. }) = heard.last() else {
        panic!("{heard:?}")
    };
    assert!(timings.load > 0.0, "{timings:?}");
    worker.say(&Command::Unload {
        model: "wan".into(),
        weights,
    });
    assert!(
        matches!(worker.next(), Event::Unloaded { bytes: freed, .. } if freed == bytes.transformer_and_vae)
    );
    let resident = Order {
        id: "resident".into(),
        offload_text_encoder: false,
        ..order
    };
    worker.generate(&resident);
    let heard = worker.until_end("resident");
    assert!(
        matches!(heard.last(), Some(Event::Done { sha256: same, .. }) if same == sha256),
        "{heard:?}"
    );
}
