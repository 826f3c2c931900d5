//! The whole: a prompt to frames.

use std::path::Path;
use std::time::Instant;

use tch::{Device as TorchDevice, Kind, Tensor};

use super::checkpoint::Checkpoint;
use super::layout::Layout;
use super::noise;
use super::prompt::Prompter;
use super::rope::Rope;
use super::scheduler::Scheduler;
use super::transformer::{Prompts, Transformer};
use super::umt5::Umt5;
use super::vae::Decoder;
use crate::device::Device;
use crate::error::Result;
use crate::film::Frames;
use crate::protocol::{Order, Stage};
use crate::shapes::{LatentSize, Shapes, TEMPORAL_SCALE};
use crate::stop::Stop;

/// A model in memory.
#[derive(Debug)]
pub struct Pipeline {
    device: Device,
    prompter: Prompter,
    text: Umt5,
    transformer: Transformer,
    vae: Decoder,
}

/// What is heard while a video is made.
#[derive(Debug)]
pub enum Progress {
    /// It came to another stage.
    Stage(Stage),
    /// A denoising step is done.
    Step {
        /// Steps that are done.
        step: u32,
        /// How long it took, in seconds.
        seconds: f64,
    },
    /// A preview was asked for after this step: one frame.
    Preview {
        /// Steps that are done.
        step: u32,
        /// Which frame of the video it is.
        frame: u32,
        /// The frame.
        picture: Frames,
    },
    /// A part of the decoding is done.
    Decoded {
        /// Parts that are done.
        part: u32,
        /// Parts in all.
        of: u32,
    },
}

/// Hears progress; what it returns stops the making.
pub type Told<'a> = dyn FnMut(Progress) -> Result<()> + 'a;

// === impl Pipeline ===

impl Pipeline {
    /// Opens the model of a folder, which must have the sizes of one of `either`.
    ///
    /// # Errors
    ///
    /// A folder that is no repository of such a model or is damaged, or it was given up.
    pub fn open(folder: &Path, either: &[Shapes], name: &str, device: Device, stop: &Stop) -> Result<Self> {
        let layout = Layout::read(folder)?;
        if !either.contains(&layout.shapes)
            && let Some(first) = either.first()
        {
            layout.must_be(first, folder, name)?;
        }
        let prompter = Prompter::open(folder, layout.shapes.text.vocab_size)?;
        Self::build(&layout, prompter, device, |part, kind| {
            Ok(Checkpoint::open(folder.join(part), device, kind)?.heeding(stop))
        })
    }

    /// Makes a model of random numbers.
    ///
    /// # Errors
    ///
    /// A device without the memory, or it was given up.
    pub fn random(shapes: Shapes, device: Device, stop: &Stop) -> Result<Self> {
        let prompter = Prompter::Bytes {
            vocab_size: shapes.text.vocab_size,
        };
        Self::build(&Layout::of(shapes), prompter, device, |_, kind| {
            Ok(Checkpoint::random(device, kind).heeding(stop))
        })
    }

    fn build(
        layout: &Layout,
        prompter: Prompter,
        device: Device,
        checkpoint: impl Fn(&str, Kind) -> Result<Checkpoint>,
    ) -> Result<Self> {
        let shapes = &layout.shapes;
        Ok(Self {
            device,
            prompter,
            text: Umt5::new(checkpoint("text_encoder", device.kind())?, &shapes.text)?,
            transformer: Transformer::new(checkpoint("transformer", device.kind())?, &shapes.transformer)?,
            vae: Decoder::new(
                checkpoint("vae", Kind::Float)?,
                &shapes.vae,
                &layout.latents_mean,
                &layout.latents_std,
            )?,
        })
    }

    /// What its numbers take of the device, in bytes.
    pub fn bytes(&self) -> u64 {
        self.text.bytes() + self.transformer.bytes() + self.vae.bytes()
    }

    /// Makes a video. The order was checked against the model before.
    ///
    /// # Errors
    ///
    /// It was given up, or who hears of it failed.
    pub fn make(&self, order: &Order, stop: &Stop, told: &mut Told<'_>) -> Result<Frames> {
        told(Progress::Stage(Stage::TextEncoding))?;
        let prompts = self.read(order, stop)?;
        told(Progress::Stage(Stage::Denoising))?;
        let latents = self.denoise(order, &prompts, self.noise(order)?, stop, told)?;
        drop(prompts);
        told(Progress::Stage(Stage::Decoding))?;
        let mut heard = Ok(());
        let video = self.vae.decode(
            &self.vae.denormalise(&latents),
            order.vae_tiling,
            stop,
            &mut |part, of| {
                if heard.is_ok() {
                    heard = told(Progress::Decoded { part, of });
                }
            },
        )?;
        heard?;
        Ok(pictures(&video))
    }

    /// The keys and values of the prompts: what is not to be seen first, if there is guidance.
    ///
    /// # Errors
    ///
    /// It was given up, or a prompt cannot be cut into tokens.
    pub fn read(&self, order: &Order, stop: &Stop) -> Result<Prompts> {
        let texts: &[&String] = if guided(order) {
            &[&order.negative_prompt, &order.prompt]
        } else {
            &[&order.prompt]
        };
        let vectors = texts
            .iter()
            .map(|text| {
                self.text
                    .encode(&self.prompter.tokens(text, self.device.torch())?, stop)
            })
            .collect::<Result<Vec<_>>>()?;
        self.transformer.read(&vectors, stop)
    }

    /// The noise that a video begins as: of its seed alone, so it is drawn on the processor.
    ///
    /// # Errors
    ///
    /// A device without the memory.
    pub fn noise(&self, order: &Order) -> Result<Tensor> {
        let size = LatentSize::of(order.width, order.height, order.num_frames);
        let shape = [
            1,
            self.transformer.shape().in_channels,
            size.frames,
            size.rows,
            size.columns,
        ];
        let seed = i64::from_ne_bytes(order.seed.to_ne_bytes());
        let drawn = noise::normal(seed, &shape, Kind::Float, TorchDevice::Cpu)?;
        Ok(drawn.to_device(self.device.torch()))
    }

    /// Noise to latents.
    ///
    /// # Errors
    ///
    /// It was given up, or who hears of it failed.
    pub fn denoise(
        &self,
        order: &Order,
        prompts: &Prompts,
        noise: Tensor,
        stop: &Stop,
        told: &mut Told<'_>,
    ) -> Result<Tensor> {
        let size = LatentSize::of(order.width, order.height, order.num_frames);
        let rope = Rope::new(self.transformer.shape(), &size, self.device.torch());
        let mut scheduler = Scheduler::new(order.sampler, order.num_inference_steps, order.flow_shift);
        let times = self.transformer.embed_times(&scheduler.times());
        let mut latents = noise;
        for step in 0..order.num_inference_steps {
            let began = Instant::now();
            let flows = self
                .transformer
                .flow(&latents, &times, i64::from(step), prompts, &rope, stop)?
                .to_kind(Kind::Float);
            let flow = if prompts.count() == 2 {
                let (without, with) = (flows.narrow(0, 0, 1), flows.narrow(0, 1, 1));
                &without + (with - &without) * f64::from(order.guidance_scale)
            } else {
                flows
            };
            let made = scheduler.step(&flow, &latents);
            latents = made.latents;
            // So that the time is that of the step, and a cancel is not followed by work that is queued on the device.
            self.device.synchronize();
            let step = step + 1;
            told(Progress::Step {
                step,
                seconds: began.elapsed().as_secs_f64(),
            })?;
            let every = order.preview_every_steps;
            if every > 0 && step.is_multiple_of(every) && step < order.num_inference_steps {
                self.preview(order, step, &made.clean, stop, told)?;
            }
        }
        Ok(latents)
    }

    /// Shows the frame in the middle as it looks now.
    fn preview(
        &self,
        order: &Order,
        step: u32,
        clean: &Tensor,
        stop: &Stop,
        told: &mut Told<'_>,
    ) -> Result<()> {
        let middle = clean.size()[2] / 2;
        let latents = self.vae.denormalise(clean);
        let video = self.vae.glance(&latents, middle, order.vae_tiling, stop)?;
        let frame = if middle == 0 {
            0
        } else {
            (middle - 1) * TEMPORAL_SCALE + 1
        };
        told(Progress::Preview {
            step,
            frame: u32::try_from(frame).unwrap_or(0),
            picture: pictures(&video),
        })
    }
}

/// Whether a video is guided away from what is not to be seen.
pub fn guided(order: &Order) -> bool {
    order.guidance_scale > 1.0
}

/// The pictures of a video `[1, 3, frames, rows, columns]` of numbers from -1 to 1, one after the other: each step of the
/// arithmetic is a copy, which of all frames together would be the most that a video takes.
pub fn pictures(video: &Tensor) -> Frames {
    let size = video.size();
    let mut rgb = vec![0; video.numel()];
    let bytes = (size[1] * size[3] * size[4]) as usize;
    for (frame, place) in (0..size[2]).zip(rgb.chunks_exact_mut(bytes.max(1))) {
        let picture = ((video.select(2, frame) / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0)
            .round()
            .to_kind(Kind::Uint8);
        let picture = picture
            .squeeze_dim(0)
            .permute([1, 2, 0])
            .to_device(TorchDevice::Cpu)
            .contiguous();
        picture.copy_data_u8(place, bytes);
    }
    let side = |axis: usize| u32::try_from(size[axis]).unwrap_or(0);
    Frames {
        width: side(4),
        height: side(3),
        rgb,
    }
}
