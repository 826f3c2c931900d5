//! What a folder in the layout of a diffusers repository says of itself: its networks' sizes, checked to be ones that are
//! computed here. Weights are not looked at.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::shapes::{Shapes, TextShape, TransformerShape, VaeShape};

/// The largest config, in bytes.
const MAX_CONFIG: u64 = 1 << 20;
/// The most layers, channels, tokens… that any config may ask for: far above every model, far below overflow.
const MAX_SIZE: i64 = 1 << 20;

/// What a repository says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The sizes of its networks.
    pub shapes: Shapes,
    /// The mean of each channel of latents.
    pub latents_mean: Vec<f32>,
    /// The standard deviation of each channel of latents.
    pub latents_std: Vec<f32>,
}

#[derive(Deserialize)]
struct ModelIndex {
    #[serde(rename = "_class_name")]
    class: String,
}

#[derive(Deserialize)]
struct Transformer {
    patch_size: [i64; 3],
    num_attention_heads: i64,
    attention_head_dim: i64,
    in_channels: i64,
    out_channels: i64,
    text_dim: i64,
    freq_dim: i64,
    ffn_dim: i64,
    num_layers: i64,
    cross_attn_norm: bool,
    qk_norm: String,
    eps: f64,
    #[serde(default)]
    image_dim: Option<i64>,
    #[serde(default)]
    added_kv_proj_dim: Option<i64>,
}

#[derive(Deserialize)]
struct TextEncoder {
    model_type: String,
    vocab_size: i64,
    d_model: i64,
    d_kv: i64,
    d_ff: i64,
    num_layers: i64,
    num_heads: i64,
    feed_forward_proj: String,
    layer_norm_epsilon: f64,
    relative_attention_num_buckets: i64,
    relative_attention_max_distance: i64,
}

#[derive(Deserialize)]
struct Vae {
    base_dim: i64,
    z_dim: i64,
    dim_mult: [i64; 4],
    num_res_blocks: i64,
    // diffusers' own spelling.
    temperal_downsample: [bool; 3],
    latents_mean: Vec<f32>,
    latents_std: Vec<f32>,
    #[serde(default)]
    attn_scales: Vec<f64>,
    #[serde(default)]
    is_residual: bool,
    #[serde(default)]
    patch_size: Option<i64>,
    #[serde(default)]
    decoder_base_dim: Option<i64>,
}

#[derive(Deserialize)]
struct Scheduler {
    #[serde(rename = "_class_name")]
    class: String,
    #[serde(default = "thousand")]
    num_train_timesteps: i64,
}

fn thousand() -> i64 {
    1000
}

/// The means of Wan's latents, of the published autoencoder: for weights that come from nowhere.
pub const LATENTS_MEAN: [f32; 16] = [
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632,
    -0.1922, -0.9497, 0.2503, -0.2921,
];
/// Their standard deviations.
pub const LATENTS_STD: [f32; 16] = [
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382,
    1.1253, 2.8251, 1.9160,
];

// === impl Layout ===

impl Layout {
    /// Reads what a repository says of itself.
    ///
    /// # Errors
    ///
    /// A file that is absent or no config, and a network of another kind than Wan 2.1's for text to video.
    pub fn read(folder: &Path) -> Result<Self> {
        let index: ModelIndex = read(&folder.join("model_index.json"))?;
        must(
            &folder.join("model_index.json"),
            "_class_name",
            &index.class,
            &"WanPipeline".to_owned(),
        )?;
        let vae = vae(folder)?;
        scheduler(folder)?;
        Ok(Self {
            shapes: Shapes {
                text: text(folder)?,
                transformer: transformer(&folder.join("transformer/config.json"))?,
                vae: vae.0,
            },
            latents_mean: vae.1,
            latents_std: vae.2,
        })
    }

    /// What weights that come from nowhere say of themselves.
    pub fn of(shapes: Shapes) -> Self {
        Self {
            shapes,
            latents_mean: LATENTS_MEAN.to_vec(),
            latents_std: LATENTS_STD.to_vec(),
        }
    }

    /// Whether the networks have these sizes.
    ///
    /// # Errors
    ///
    /// The first network that has not.
    pub fn must_be(&self, shapes: &Shapes, folder: &Path, model: &str) -> Result<()> {
        let (are, should) = (&self.shapes, shapes);
        let differs = if are.transformer != should.transformer {
            format!(
                "transformer has {:?}; {model} has {:?}",
                are.transformer, should.transformer
            )
        } else if are.text != should.text {
            format!("text_encoder has {:?}; {model} has {:?}", are.text, should.text)
        } else if are.vae != should.vae {
            format!("vae has {:?}; {model} has {:?}", are.vae, should.vae)
        } else {
            return Ok(());
        };
        Err(Error::weights(folder, format!("is another model: its {differs}")))
    }
}

/// The sizes of a transformer, of its config.
///
/// # Errors
///
/// A file that is absent or no config, or a transformer of another kind.
pub fn transformer(file: &Path) -> Result<TransformerShape> {
    let config: Transformer = read(file)?;
    must(
        file,
        "qk_norm",
        &config.qk_norm,
        &"rms_norm_across_heads".to_owned(),
    )?;
    must(file, "cross_attn_norm", &config.cross_attn_norm, &true)?;
    must(file, "eps", &config.eps, &1e-6)?;
    must(file, "image_dim", &config.image_dim, &None)?;
    must(file, "added_kv_proj_dim", &config.added_kv_proj_dim, &None)?;
    must(file, "patch_size", &config.patch_size, &[1, 2, 2])?;
    let shape = TransformerShape {
        num_attention_heads: config.num_attention_heads,
        attention_head_dim: config.attention_head_dim,
        in_channels: config.in_channels,
        out_channels: config.out_channels,
        text_dim: config.text_dim,
        freq_dim: config.freq_dim,
        ffn_dim: config.ffn_dim,
        num_layers: config.num_layers,
        patch_size: config.patch_size,
    };
    let sizes = [
        shape.num_attention_heads,
        shape.attention_head_dim,
        shape.in_channels,
        shape.out_channels,
        shape.text_dim,
        shape.freq_dim,
        shape.ffn_dim,
        shape.num_layers,
    ];
    sane(file, &sizes)?;
    if shape.attention_head_dim % 2 != 0 || shape.attention_head_dim < 6 || shape.freq_dim % 2 != 0 {
        let problem = "has an \"attention_head_dim\" or \"freq_dim\" that cannot be halved";
        return Err(Error::weights(file, problem));
    }
    Ok(shape)
}

fn text(folder: &Path) -> Result<TextShape> {
    let file = &folder.join("text_encoder/config.json");
    let config: TextEncoder = read(file)?;
    must(file, "model_type", &config.model_type, &"umt5".to_owned())?;
    must(
        file,
        "feed_forward_proj",
        &config.feed_forward_proj,
        &"gated-gelu".to_owned(),
    )?;
    must(file, "layer_norm_epsilon", &config.layer_norm_epsilon, &1e-6)?;
    let shape = TextShape {
        vocab_size: config.vocab_size,
        d_model: config.d_model,
        d_kv: config.d_kv,
        d_ff: config.d_ff,
        num_layers: config.num_layers,
        num_heads: config.num_heads,
        relative_attention_num_buckets: config.relative_attention_num_buckets,
        relative_attention_max_distance: config.relative_attention_max_distance,
    };
    let sizes = [
        shape.vocab_size,
        shape.d_model,
        shape.d_kv,
        shape.d_ff,
        shape.num_layers,
        shape.num_heads,
        shape.relative_attention_num_buckets / 4,
        shape.relative_attention_max_distance,
    ];
    sane(file, &sizes)?;
    Ok(shape)
}

fn vae(folder: &Path) -> Result<(VaeShape, Vec<f32>, Vec<f32>)> {
    let file = &folder.join("vae/config.json");
    let config: Vae = read(file)?;
    must(file, "is_residual", &config.is_residual, &false)?;
    must(file, "patch_size", &config.patch_size, &None)?;
    must(file, "decoder_base_dim", &config.decoder_base_dim, &None)?;
    must(file, "attn_scales", &config.attn_scales, &Vec::new())?;
    let [a, b, c, d] = config.dim_mult;
    sane(
        file,
        &[config.base_dim, config.z_dim, a, b, c, d, config.num_res_blocks],
    )?;
    for (field, values) in [
        ("latents_mean", &config.latents_mean),
        ("latents_std", &config.latents_std),
    ] {
        if values.len() as i64 != config.z_dim || values.iter().any(|value| !value.is_finite()) {
            let problem = format!(
                "\"{field}\" must have a number for each of the {} channels",
                config.z_dim
            );
            return Err(Error::weights(file, problem));
        }
    }
    // Latents are divided by one over it: of 0 they would all be lost, and nothing would say so.
    if config.latents_std.iter().any(|std| *std <= 0.0) {
        return Err(Error::weights(file, "\"latents_std\" must be more than 0"));
    }
    let shape = VaeShape {
        base_dim: config.base_dim,
        z_dim: config.z_dim,
        dim_mult: config.dim_mult,
        num_res_blocks: config.num_res_blocks,
        temporal_downsample: config.temperal_downsample,
    };
    Ok((shape, config.latents_mean, config.latents_std))
}

/// The order says which solver is used; the folder's own must only be one of flow matching over a thousand times.
fn scheduler(folder: &Path) -> Result<()> {
    let file = &folder.join("scheduler/scheduler_config.json");
    let config: Scheduler = read(file)?;
    must(file, "num_train_timesteps", &config.num_train_timesteps, &1000)?;
    let known = ["UniPCMultistepScheduler", "FlowMatchEulerDiscreteScheduler"];
    if known.contains(&config.class.as_str()) {
        return Ok(());
    }
    let problem = format!(
        "\"_class_name\" is {}; there are {}",
        config.class,
        known.join(" and ")
    );
    Err(Error::weights(file, problem))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let length = fs::metadata(path).map_or(0, |metadata| metadata.len());
    if length > MAX_CONFIG {
        return Err(Error::weights(path, format!("has more than {MAX_CONFIG} bytes")));
    }
    let text = fs::read(path).map_err(|error| Error::weights(path, format!("cannot be read: {error}")))?;
    serde_json::from_slice(&text)
        .map_err(|error| Error::weights(path, format!("is not as it should be: {error}")))
}

fn must<T: PartialEq + std::fmt::Debug>(file: &Path, field: &str, is: &T, should: &T) -> Result<()> {
    if is == should {
        return Ok(());
    }
    let problem = format!("\"{field}\" is {is:?}; only {should:?} is computed here");
    Err(Error::weights(file, problem))
}

fn sane(file: &Path, sizes: &[i64]) -> Result<()> {
    if sizes.iter().all(|size| (1..=MAX_SIZE).contains(size)) {
        return Ok(());
    }
    Err(Error::weights(file, "has a size that is no size"))
}
