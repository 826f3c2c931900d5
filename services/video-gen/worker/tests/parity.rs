//! Every part, and the whole, gives what diffusers 0.42.1 gives, on a Wan of toy size. `fixtures/make_wan.py` made both.

use std::collections::HashMap;
use std::path::PathBuf;

use polyphony_video_worker::catalogue::models;
use polyphony_video_worker::device::Device;
use polyphony_video_worker::protocol::{DummySize, Order, Precision, Sampler, Weights};
use polyphony_video_worker::shapes::{LatentSize, Shapes};
use polyphony_video_worker::stop::Stop;
use polyphony_video_worker::wan::checkpoint::Checkpoint;
use polyphony_video_worker::wan::layout::Layout;
use polyphony_video_worker::wan::pipeline::Pipeline;
use polyphony_video_worker::wan::prompt::Prompter;
use polyphony_video_worker::wan::rope::Rope;
use polyphony_video_worker::wan::scheduler::Scheduler;
use polyphony_video_worker::wan::transformer::Transformer;
use polyphony_video_worker::wan::umt5::Umt5;
use polyphony_video_worker::wan::vae::Decoder;
use tch::{Kind, Tensor};

/// Of a part.
const PART: f64 = 1e-5;
/// Of the whole.
const WHOLE: f64 = 1e-4;

pub(crate) fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wan"))
}

fn golden() -> HashMap<String, Tensor> {
    let tensors =
        Tensor::read_safetensors(repository().join("golden.safetensors")).expect("the goldens are there");
    tensors.into_iter().collect()
}

fn told() -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(repository().join("golden.json")).expect("a sound fixture"))
        .expect("a sound fixture")
}

pub(crate) fn cpu() -> Device {
    Device::find("cpu", Some(Precision::Fp32)).expect("a sound fixture")
}

fn checkpoint(part: &str) -> Checkpoint {
    Checkpoint::open(repository().join(part), cpu(), Kind::Float).expect("a sound fixture")
}

fn transformer() -> Transformer {
    Transformer::new(checkpoint("transformer"), &Shapes::TOY.transformer).expect("a sound fixture")
}

fn decoder() -> Decoder {
    let layout = Layout::read(&repository()).expect("a sound fixture");
    Decoder::new(
        checkpoint("vae"),
        &Shapes::TOY.vae,
        &layout.latents_mean,
        &layout.latents_std,
    )
    .expect("a sound fixture")
}

pub(crate) fn order(sampler: Sampler, guidance_scale: f32) -> Order {
    let told = told();
    let weights = Weights::Folder { path: repository() };
    Order {
        prompt: told["prompt"].as_str().expect("a sound fixture").into(),
        negative_prompt: told["negative_prompt"].as_str().expect("a sound fixture").into(),
        width: 48,
        height: 32,
        num_frames: 9,
        seed: 7,
        num_inference_steps: 4,
        guidance_scale,
        sampler,
        flow_shift: 3.0,
        ..models()[0].order("parity", weights)
    }
}

#[track_caller]
fn close(ours: &Tensor, theirs: &Tensor, within: f64) {
    assert_eq!(ours.size(), theirs.size());
    let apart = (ours.to_kind(Kind::Double) - theirs.to_kind(Kind::Double))
        .abs()
        .max()
        .double_value(&[]);
    let size = theirs.abs().max().double_value(&[]);
    // Not with `<=`: what is no number is not close.
    assert!(
        (0.0..=within).contains(&apart),
        "apart by {apart:e}, of at most {size}"
    );
}

#[test]
fn the_layout_is_read() {
    assert_eq!(Layout::read(&repository()).unwrap().shapes, Shapes::TOY);
}

#[test]
fn prompts_become_the_same_tokens() {
    let told = told();
    let prompter = Prompter::open(&repository(), 256).unwrap();
    let tokens = prompter
        .tokens(told["prompt"].as_str().unwrap(), cpu().torch())
        .unwrap();
    let ours: Vec<i64> = Vec::try_from(tokens.flatten(0, -1)).unwrap();
    let theirs: Vec<i64> = serde_json::from_value(told["tokens"].clone()).unwrap();
    assert_eq!(ours, theirs);
}

#[test]
fn the_text_encoder_is_the_same() {
    let prompter = Prompter::open(&repository(), 256).unwrap();
    let text = Umt5::new(checkpoint("text_encoder"), &Shapes::TOY.text).unwrap();
    let tokens = prompter
        .tokens(told()["prompt"].as_str().unwrap(), cpu().torch())
        .unwrap();
    close(
        &text.encode(&tokens, &Stop::default()).unwrap(),
        &golden()["text"],
        PART,
    );
}

/// Both prompts in one pass here, one after the other there.
#[test]
fn the_transformer_is_the_same() {
    let golden = golden();
    let (transformer, stop) = (transformer(), Stop::default());
    let mut pipeline = Pipeline::open(&repository(), &[Shapes::TOY], "toy", cpu(), &Stop::default()).unwrap();
    let prompts = pipeline.read(&order(Sampler::Unipc, 5.0), &stop).unwrap();
    let size = LatentSize {
        frames: 3,
        rows: 4,
        columns: 6,
    };
    let rope = Rope::new(&Shapes::TOY.transformer, &size, cpu().torch());
    let times = transformer.embed_times(&[999.0, 500.0]);
    let flow = transformer
        .flow(&golden["latents"], &times, 1, &prompts, &rope, &stop)
        .unwrap();
    close(&flow, &golden["flow"], PART);
}

#[test]
fn the_decoder_is_the_same() {
    let golden = golden();
    let mut parts = Vec::new();
    let video = decoder()
        .decode(&golden["latents"], false, &Stop::default(), &mut |part, of| {
            parts.push((part, of))
        })
        .unwrap();
    close(&video, &golden["decoded"], PART);
    assert_eq!(parts, [(1, 3), (2, 3), (3, 3)]);
}

#[test]
fn tiles_are_the_same() {
    let latents =
        polyphony_video_worker::wan::noise::normal(6, &[1, 16, 2, 34, 58], Kind::Float, cpu().torch())
            .unwrap();
    let mut last = (0, 0);
    let video = decoder()
        .decode(&latents, true, &Stop::default(), &mut |part, of| {
            last = (part, of)
        })
        .unwrap();
    let some = video.slice(3, None, None, 7).slice(4, None, None, 7);
    close(&some, &golden()["tiled"], PART);
    assert_eq!(last, (12, 12));
    let whole = decoder()
        .decode(&latents, false, &Stop::default(), &mut |_, _| {})
        .unwrap();
    assert!(
        (whole - video).abs().max().double_value(&[]) > 1e-3,
        "tiles were not used"
    );
}

#[test]
fn schedulers_walk_the_same_way() {
    let golden = golden();
    for (name, sampler) in [("unipc", Sampler::Unipc), ("euler", Sampler::Euler)] {
        for (steps, shift) in [(1, 3.0), (2, 3.0), (4, 3.0), (20, 5.0)] {
            let of = |part: &str| &golden[&format!("{name}.{steps}.{part}")];
            let mut scheduler = Scheduler::new(sampler, steps, shift);
            close(&Tensor::from_slice(&scheduler.times()), of("times"), 1e-4);
            let mut latents = of("walk").get(0);
            for step in 0..i64::from(steps) {
                latents = scheduler.step(&of("flows").get(step), &latents).latents;
                close(&latents, &of("walk").get(step + 1), PART);
            }
        }
    }
}

#[test]
fn the_whole_is_the_same() {
    let golden = golden();
    let mut pipeline = Pipeline::open(&repository(), &[Shapes::TOY], "toy", cpu(), &Stop::default()).unwrap();
    let decoder = decoder();
    let stop = Stop::default();
    let cases = [
        ("unipc", Sampler::Unipc, 5.0, 1),
        ("euler", Sampler::Euler, 5.0, 3),
        ("unguided", Sampler::Unipc, 1.0, 3),
    ];
    for (name, sampler, guidance, every) in cases {
        let order = order(sampler, guidance);
        let prompts = pipeline.read(&order, &stop).unwrap();
        assert_eq!(prompts.count(), if guidance > 1.0 { 2 } else { 1 });
        let noise = pipeline.noise(&order).unwrap();
        let latents = pipeline
            .denoise(&order, &prompts, noise, &stop, &mut |_| Ok(()))
            .unwrap();
        let video = decoder
            .decode(&decoder.denormalise(&latents), false, &stop, &mut |_, _| {})
            .unwrap();
        let video = (video / 2.0 + 0.5).clamp(0.0, 1.0).transpose(1, 2);
        let some = video.slice(3, None, None, every).slice(4, None, None, every);
        close(&some, &golden[&format!("video.{name}")], WHOLE);
    }
}

/// The same in bfloat16, as far as its three digits go.
#[test]
fn bfloat16_makes_nearly_the_same_flow() {
    let device = Device::find("cpu", Some(Precision::Bf16)).unwrap();
    let mut narrow = Pipeline::open(&repository(), &[Shapes::TOY], "toy", device, &Stop::default()).unwrap();
    let mut wide = Pipeline::open(&repository(), &[Shapes::TOY], "toy", cpu(), &Stop::default()).unwrap();
    let (order, stop) = (order(Sampler::Unipc, 1.0), Stop::default());
    for pipeline in [&mut narrow, &mut wide] {
        pipeline.load(false, &stop).unwrap();
        assert_eq!(pipeline.bytes(), pipeline.most_bytes(false));
    }
    assert!(narrow.bytes() < wide.bytes());
    let latents = |pipeline: &mut Pipeline| {
        let prompts = pipeline.read(&order, &stop).unwrap();
        let noise = pipeline.noise(&order).unwrap();
        pipeline
            .denoise(&order, &prompts, noise, &stop, &mut |_| Ok(()))
            .unwrap()
    };
    let (narrow, wide) = (latents(&mut narrow), latents(&mut wide));
    let apart = (&narrow - &wide)
        .square()
        .mean(Kind::Float)
        .double_value(&[])
        .sqrt();
    let size = wide.square().mean(Kind::Float).double_value(&[]).sqrt();
    assert!(apart / size < 0.05, "apart by {apart}, of {size}");
    assert!(apart > 0.0);
}

#[test]
fn random_weights_are_the_same_each_time() {
    let make = || Pipeline::random(Shapes::TOY, cpu());
    let mut order = order(Sampler::Unipc, 5.0);
    order.weights = Weights::Dummy { size: DummySize::Toy };
    let film = |mut pipeline: Pipeline| pipeline.make(&order, &Stop::default(), &mut |_| Ok(())).unwrap();
    let (first, second) = (film(make()), film(make()));
    assert_eq!(first, second);
    assert_eq!(first.count(), 9);
    let brightest = first.rgb.iter().max().unwrap();
    let darkest = first.rgb.iter().min().unwrap();
    assert!(
        brightest - darkest > 50,
        "the picture is even: {darkest} to {brightest}"
    );
}
