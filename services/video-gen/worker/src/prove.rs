//! What a device does with the products that videos are made of, and how long a whole video takes on it: for a new machine,
//! and for telling what its card could do at best. Figures, no verdicts.

use std::io::{self, Write};
use std::time::Instant;

use tch::{Device as TorchDevice, Kind, Tensor};

use crate::catalogue;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::estimate::{self, Geometry};
use crate::protocol::{DummySize, Order, Weights};
use crate::stop::Stop;
use crate::studio;
use crate::wan::layers::attention;
use crate::wan::pipeline::{Pipeline, Progress};

/// Steps of the video; the first is not counted, for it chooses kernels.
const STEPS: u32 = 4;

/// The sizes of what is measured.
struct Sizes {
    /// Sides of matrices.
    matrix: i64,
    /// Heads, tokens and width of attention.
    attention: [i64; 3],
    /// Channels, frames, rows and columns of a convolution.
    convolution: [i64; 4],
    weights: DummySize,
}

/// As of Wan 1.3B at 480p.
const FULL: Sizes = Sizes {
    matrix: 8192,
    attention: [12, 32_760, 128],
    convolution: [96, 6, 480, 832],
    weights: DummySize::Full,
};

/// What a processor does in seconds.
const TOY: Sizes = Sizes {
    matrix: 1024,
    attention: [2, 1024, 64],
    convolution: [16, 6, 96, 96],
    weights: DummySize::Toy,
};

/// Measures the device and prints what it did, a line each.
///
/// # Errors
///
/// What LibTorch refuses, or output that nobody reads.
pub fn prove(device: Device, toy: bool, out: &mut impl Write) -> Result<()> {
    let sizes = if toy { TOY } else { FULL };
    let _no_gradients = tch::no_grad_guard();
    let mut say = |line: String| writeln!(out, "{line}").map_err(|error| told(&error));
    let (free, total) = device.memory();
    say(format!(
        "device       {device}, {}, {:.1} of {:.1} GB free, {:?}, LibTorch {}, {} threads",
        device.product(),
        free as f64 / 1e9,
        total as f64 / 1e9,
        device.precision(),
        env!("TORCH_VERSION"),
        tch::get_num_threads(),
    ))?;
    products(&sizes, device, &mut say)?;
    video(&sizes, device, &mut say)
}

fn products(sizes: &Sizes, device: Device, say: &mut impl FnMut(String) -> Result<()>) -> Result<()> {
    let (torch, kind) = (device.torch(), device.kind());
    let n = sizes.matrix;
    let (a, b) = (random(&[n, n], kind, torch), random(&[n, n], kind, torch));
    let rate = teraflops(device, 2 * n * n * n, || a.matmul(&b));
    say(format!(
        "matmul       {n} x {n} x {n}, {kind:?}: {rate:.2} TFLOP/s"
    ))?;
    let [heads, tokens, width] = sizes.attention;
    let q = random(&[1, heads, tokens, width], kind, torch);
    let rate = teraflops(device, 4 * heads * tokens * tokens * width, || {
        attention(&q, &q, &q, None, None)
    });
    say(format!(
        "attention    {heads} heads, {tokens} tokens, {width} wide, {kind:?}: {rate:.2} TFLOP/s"
    ))?;
    let [channels, frames, rows, columns] = sizes.convolution;
    let x = random(&[1, channels, frames, rows, columns], Kind::Float, torch);
    let weight = random(&[channels, channels, 3, 3, 3], Kind::Float, torch);
    let flops = 2 * 27 * channels * channels * (frames - 2) * rows * columns;
    let rate = teraflops(device, flops, || {
        x.conv3d(&weight, None::<Tensor>, [1, 1, 1], [0, 1, 1], [1, 1, 1], 1)
    });
    say(format!(
        "conv3d       {channels} channels, {frames} x {rows} x {columns}, Float: {rate:.2} TFLOP/s"
    ))
}

fn video(sizes: &Sizes, device: Device, say: &mut impl FnMut(String) -> Result<()>) -> Result<()> {
    let model = catalogue::models()
        .first()
        .ok_or_else(|| Error::Torch("the catalogue is empty".into()))?;
    let weights = Weights::Dummy { size: sizes.weights };
    let shapes = model.shapes_of(&weights);
    studio::warm_up(device)?;
    device.release();
    device.watch_peak();
    let before = device.base();
    let began = Instant::now();
    let mut pipeline = Pipeline::random(shapes, device);
    pipeline.load(false, &Stop::default())?;
    device.synchronize();
    say(format!(
        "model        {}, {:?} size, random: {:.2} GB in {:.1} s",
        model.title,
        sizes.weights,
        pipeline.bytes() as f64 / 1e9,
        began.elapsed().as_secs_f64()
    ))?;
    let order = Order {
        prompt: "a cat walks on the grass".into(),
        num_inference_steps: STEPS,
        ..model.order("prove", weights)
    };
    let mut marks = vec![Instant::now()];
    let mut steps = Vec::new();
    let frames = pipeline.make(&order, &Stop::default(), &mut |progress| {
        match progress {
            Progress::Stage(_) => marks.push(Instant::now()),
            Progress::Step { seconds, .. } => steps.push(seconds),
            Progress::Loaded { .. } | Progress::Decoded { .. } | Progress::Preview { .. } => {}
        }
        Ok(())
    })?;
    device.synchronize();
    marks.push(Instant::now());
    let between = |from: usize| marks[from + 1].duration_since(marks[from]).as_secs_f64();
    let estimate = estimate::estimate(&shapes, &Geometry::of(&order), device.precision());
    let mut counted = steps.split_off(1);
    counted.sort_by(f64::total_cmp);
    let median = counted[counted.len() / 2];
    say(format!(
        "video        {}x{}, {} frames, guidance, unipc; {} pictures came out",
        order.width,
        order.height,
        order.num_frames,
        frames.count()
    ))?;
    say(format!("text         {:.3} s", between(1)))?;
    say(format!(
        "step         {median:.3} s (first {:.3}), {:.4} TFLOP each, {:.4} TFLOP/s",
        steps[0],
        estimate.step_flops as f64 / 1e12,
        estimate.step_flops as f64 / 1e12 / median
    ))?;
    say(format!(
        "decoding     {:.3} s, {:.4} TFLOP, {:.4} TFLOP/s",
        between(3),
        estimate.decode_flops as f64 / 1e12,
        estimate.decode_flops as f64 / 1e12 / between(3)
    ))?;
    say(format!(
        "memory       {:.3} GB at most, without the {:.3} GB of the worker itself; {:.3} GB were estimated",
        device.peak().saturating_sub(before) as f64 / 1e9,
        before as f64 / 1e9,
        estimate.peak_memory_bytes as f64 / 1e9
    ))
}

/// The best of five runs, after one that is not counted.
fn teraflops(device: Device, flops: i64, mut run: impl FnMut() -> Tensor) -> f64 {
    let mut best = f64::INFINITY;
    for round in 0..6 {
        device.synchronize();
        let began = Instant::now();
        let made = run();
        device.synchronize();
        let seconds = began.elapsed().as_secs_f64();
        drop(made);
        if round > 0 {
            best = best.min(seconds);
        }
    }
    flops as f64 / best / 1e12
}

fn random(shape: &[i64], kind: Kind, device: TorchDevice) -> Tensor {
    Tensor::randn(shape, (kind, device))
}

fn told(error: &io::Error) -> Error {
    Error::Encoding(format!("nobody reads: {error}"))
}
