//! The whole: a prompt to frames.
//!
//! A model has two halves that are never needed together: the text encoder, which makes vectors of prompts, and the
//! transformer with the VAE, which make a video of them. Where memory is short an order is made with one half at a time in
//! memory; the bytes are the same.

use std::path::{Path, PathBuf};
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
use crate::error::{Error, Result};
use crate::estimate::WeightBytes;
use crate::film::Frames;
use crate::protocol::{Order, Part, Stage};
use crate::shapes::{LatentSize, Shapes, TEMPORAL_SCALE};
use crate::stop::Stop;

/// A model, as much of it in memory as is needed.
#[derive(Debug)]
pub struct Pipeline {
    device: Device,
    layout: Layout,
    origin: Origin,
    prompter: Prompter,
    encoder: Option<Umt5>,
    generator: Option<Generator>,
    /// The last prompts, and what the encoder made of each: the next video is often of the same ones.
    encoded: Vec<(String, Tensor)>,
}

/// Where weights come from.
#[derive(Debug)]
enum Origin {
    Folder(PathBuf),
    Random,
}

/// What makes a video of encoded prompts.
#[derive(Debug)]
struct Generator {
    transformer: Transformer,
    vae: Decoder,
}

/// What is heard while a video is made.
#[derive(Debug)]
pub enum Progress {
    /// It came to another stage.
    Stage(Stage),
    /// A half of the model was brought into memory.
    Loaded {
        /// Which.
        part: Part,
        /// What it takes of the device, in bytes.
        bytes: u64,
        /// How long it took, in seconds.
        seconds: f64,
    },
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

/// Opens the numbers of a network by its folder, to be computed with in this kind.
type Numbers<'a> = dyn Fn(&str, Kind) -> Result<Checkpoint> + 'a;

// === impl Pipeline ===

impl Pipeline {
    /// Opens the model of a folder, which must have the sizes of one of `either`. Every tensor is checked; none is in memory
    /// before it is [loaded](Self::load) or used.
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
        let pipeline = Self::of(device, layout, Origin::Folder(folder.to_owned()), prompter);
        let checked = |part: &str, kind| Ok(pipeline.checkpoint(part, kind, stop)?.only_checked());
        drop(pipeline.encoder(&checked)?);
        drop(pipeline.generator(&checked)?);
        Ok(pipeline)
    }

    /// A model of random numbers, which are drawn when it is [loaded](Self::load) or used.
    pub fn random(shapes: Shapes, device: Device) -> Self {
        let prompter = Prompter::Bytes {
            vocab_size: shapes.text.vocab_size,
        };
        Self::of(device, Layout::of(shapes), Origin::Random, prompter)
    }

    fn of(device: Device, layout: Layout, origin: Origin, prompter: Prompter) -> Self {
        Self {
            device,
            layout,
            origin,
            prompter,
            encoder: None,
            generator: None,
            encoded: Vec::new(),
        }
    }

    /// Brings into memory what is not there; nothing if the halves take turns, for then each comes when it is needed.
    ///
    /// # Errors
    ///
    /// A device without the memory, weights that are no longer what they were, or it was given up.
    pub fn load(&mut self, offload_text_encoder: bool, stop: &Stop) -> Result<()> {
        if !offload_text_encoder {
            self.bring(Part::TextEncoder, stop, &mut |_| Ok(()))?;
            self.bring(Part::TransformerAndVae, stop, &mut |_| Ok(()))?;
        }
        Ok(())
    }

    /// What its numbers take of the device now, in bytes.
    pub fn bytes(&self) -> u64 {
        let encoder = self.encoder.as_ref().map_or(0, Umt5::bytes);
        encoder + self.generator.as_ref().map_or(0, Generator::bytes)
    }

    /// What its numbers take of the device at most at once, in bytes.
    pub fn most_bytes(&self, offload_text_encoder: bool) -> u64 {
        WeightBytes::of(&self.layout.shapes, self.device.precision()).most(offload_text_encoder)
    }

    /// Makes a video. The order was checked against the model before.
    ///
    /// # Errors
    ///
    /// It was given up, weights are no longer what they were, or who hears of it failed.
    pub fn make(&mut self, order: &Order, stop: &Stop, told: &mut Told<'_>) -> Result<Frames> {
        told(Progress::Stage(Stage::TextEncoding))?;
        let vectors = self.encode(order, stop, told)?;
        told(Progress::Stage(Stage::Denoising))?;
        self.bring(Part::TransformerAndVae, stop, told)?;
        let generator = self.brought()?;
        let prompts = generator.transformer.read(&vectors, stop)?;
        drop(vectors);
        let latents = self.denoise(order, &prompts, self.noise(order)?, stop, told)?;
        drop(prompts);
        told(Progress::Stage(Stage::Decoding))?;
        let mut heard = Ok(());
        let vae = &generator.vae;
        let video = vae.decode(
            &vae.denormalise(&latents),
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

    /// The encoder's vectors `[1, tokens, width]` of the prompts: what is not to be seen first, if there is guidance. If the
    /// halves take turns, the other half leaves memory before, and the encoder after.
    ///
    /// # Errors
    ///
    /// It was given up, a prompt cannot be cut into tokens, or the encoder cannot be had.
    fn encode(&mut self, order: &Order, stop: &Stop, told: &mut Told<'_>) -> Result<Vec<Tensor>> {
        let texts: &[&String] = if guided(order) {
            &[&order.negative_prompt, &order.prompt]
        } else {
            &[&order.prompt]
        };
        let known = |text: &String| self.encoded.iter().find(|(known, _)| known == text);
        if texts.iter().any(|text| known(text).is_none()) {
            if order.offload_text_encoder && self.generator.take().is_some() {
                self.device.release();
            }
            self.bring(Part::TextEncoder, stop, told)?;
            let Some(encoder) = &self.encoder else {
                return Err(absent(Part::TextEncoder));
            };
            self.encoded = texts
                .iter()
                .map(|text| {
                    let tokens = self.prompter.tokens(text, self.device.torch())?;
                    Ok(((*text).clone(), encoder.encode(&tokens, stop)?))
                })
                .collect::<Result<_>>()?;
        }
        if order.offload_text_encoder && self.encoder.take().is_some() {
            self.device.release();
        }
        let known = |text: &String| self.encoded.iter().find(|(known, _)| known == text);
        Ok(texts
            .iter()
            .filter_map(|text| known(text).map(|(_, vectors)| vectors.shallow_clone()))
            .collect())
    }

    /// The keys and values of the prompts.
    ///
    /// # Errors
    ///
    /// It was given up, a prompt cannot be cut into tokens, or weights cannot be had.
    pub fn read(&mut self, order: &Order, stop: &Stop) -> Result<Prompts> {
        let vectors = self.encode(order, stop, &mut |_| Ok(()))?;
        self.bring(Part::TransformerAndVae, stop, &mut |_| Ok(()))?;
        self.brought()?.transformer.read(&vectors, stop)
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
            self.layout.shapes.transformer.in_channels,
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
    /// It was given up, who hears of it failed, or the network's numbers ran out of their range.
    pub fn denoise(
        &self,
        order: &Order,
        prompts: &Prompts,
        noise: Tensor,
        stop: &Stop,
        told: &mut Told<'_>,
    ) -> Result<Tensor> {
        let transformer = &self.brought()?.transformer;
        let size = LatentSize::of(order.width, order.height, order.num_frames);
        let rope = Rope::new(transformer.shape(), &size, self.device.torch());
        let mut scheduler = Scheduler::new(order.sampler, order.num_inference_steps, order.flow_shift);
        let times = transformer.embed_times(&scheduler.times());
        let mut latents = noise;
        for step in 0..order.num_inference_steps {
            let began = Instant::now();
            let kept = self.device.keep_freed();
            let flows = transformer
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
            drop(kept);
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
        // They would become a dark video that looks as if it were made.
        if latents.isfinite().all().int64_value(&[]) == 0 {
            return Err(Error::NotNumbers);
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
        let vae = &self.brought()?.vae;
        let middle = clean.size()[2] / 2;
        let latents = vae.denormalise(clean);
        let video = vae.glance(&latents, middle, order.vae_tiling, stop)?;
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

    /// Brings a half into memory, if it is not there.
    fn bring(&mut self, part: Part, stop: &Stop, told: &mut Told<'_>) -> Result<()> {
        let is_there = match part {
            Part::TextEncoder => self.encoder.is_some(),
            Part::TransformerAndVae => self.generator.is_some(),
        };
        if is_there {
            return Ok(());
        }
        let began = Instant::now();
        let numbers = |part: &str, kind| self.checkpoint(part, kind, stop);
        let bytes = match part {
            Part::TextEncoder => {
                let made = self.encoder(&numbers)?;
                self.encoder.insert(made).bytes()
            }
            Part::TransformerAndVae => {
                let made = self.generator(&numbers)?;
                self.generator.insert(made).bytes()
            }
        };
        self.device.synchronize();
        told(Progress::Loaded {
            part,
            bytes,
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    fn brought(&self) -> Result<&Generator> {
        self.generator
            .as_ref()
            .ok_or_else(|| absent(Part::TransformerAndVae))
    }

    fn checkpoint(&self, part: &str, kind: Kind, stop: &Stop) -> Result<Checkpoint> {
        let checkpoint = match &self.origin {
            Origin::Folder(folder) => Checkpoint::open(folder.join(part), self.device, kind)?,
            Origin::Random => Checkpoint::random(self.device, kind),
        };
        Ok(checkpoint.heeding(stop))
    }

    fn encoder(&self, checkpoint: &Numbers<'_>) -> Result<Umt5> {
        Umt5::new(
            checkpoint("text_encoder", self.device.kind())?,
            &self.layout.shapes.text,
        )
    }

    fn generator(&self, checkpoint: &Numbers<'_>) -> Result<Generator> {
        let Layout {
            shapes,
            latents_mean,
            latents_std,
        } = &self.layout;
        let transformer = Transformer::new(
            checkpoint("transformer", self.device.kind())?,
            &shapes.transformer,
        )?;
        let vae = Decoder::new(
            checkpoint("vae", Kind::Float)?,
            &shapes.vae,
            latents_mean,
            latents_std,
        )?;
        Ok(Generator { transformer, vae })
    }
}

// === impl Generator ===

impl Generator {
    fn bytes(&self) -> u64 {
        self.transformer.bytes() + self.vae.bytes()
    }
}

/// A half that is used before it was brought: a mistake of this file.
fn absent(part: Part) -> Error {
    Error::Torch(format!("{part:?} is not in memory"))
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
