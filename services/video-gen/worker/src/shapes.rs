//! The sizes of Wan's layers, and of what goes through them. Plain numbers: the estimate is made from them, dummy weights are
//! made to them, and what a folder's configs say is compared with them.

/// The sizes of a model's three networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shapes {
    /// The prompt's encoder.
    pub text: TextShape,
    /// The diffusion transformer.
    pub transformer: TransformerShape,
    /// The autoencoder.
    pub vae: VaeShape,
}

/// The encoder of umT5 (Chung et al. 2023).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextShape {
    /// Tokens there are.
    pub vocab_size: i64,
    /// The width of a token.
    pub d_model: i64,
    /// The width of a head.
    pub d_kv: i64,
    /// The inner width of the feed-forward.
    pub d_ff: i64,
    /// Blocks.
    pub num_layers: i64,
    /// Heads of a block.
    pub num_heads: i64,
    /// How many distances are told apart.
    pub relative_attention_num_buckets: i64,
    /// Beyond this all distances are one.
    pub relative_attention_max_distance: i64,
}

/// The diffusion transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransformerShape {
    /// Heads of a block.
    pub num_attention_heads: i64,
    /// The width of a head.
    pub attention_head_dim: i64,
    /// Channels of latents that come in.
    pub in_channels: i64,
    /// Channels of latents that go out.
    pub out_channels: i64,
    /// The width of the prompt's tokens.
    pub text_dim: i64,
    /// The width of a time's sinusoids.
    pub freq_dim: i64,
    /// The inner width of the feed-forward.
    pub ffn_dim: i64,
    /// Blocks.
    pub num_layers: i64,
    /// Latents that make a token: frames, rows, columns.
    pub patch_size: [i64; 3],
}

/// The causal 3D autoencoder; only its decoder is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VaeShape {
    /// Channels at full size.
    pub base_dim: i64,
    /// Channels of latents.
    pub z_dim: i64,
    /// How many times `base_dim` each level has, from full size inwards.
    pub dim_mult: [i64; 4],
    /// Residual blocks of a level; the decoder has one more.
    pub num_res_blocks: i64,
    /// Which of the three halvings halve time too, from full size inwards.
    pub temporal_downsample: [bool; 3],
}

/// Tokens of a prompt, always so many: shorter ones are padded, longer ones cut.
pub const TEXT_TOKENS: i64 = 512;

/// How many pixels a latent stands for in a row or column.
pub const SPATIAL_SCALE: i64 = 8;

/// How many frames a latent stands for, the first aside.
pub const TEMPORAL_SCALE: i64 = 4;

// === impl Shapes ===

impl Shapes {
    /// Wan 2.1 T2V 14B.
    pub const WAN: Self = Self {
        text: TextShape {
            vocab_size: 256_384,
            d_model: 4096,
            d_kv: 64,
            d_ff: 10_240,
            num_layers: 24,
            num_heads: 64,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
        },
        transformer: TransformerShape::WAN,
        vae: VaeShape {
            base_dim: 96,
            z_dim: 16,
            dim_mult: [1, 2, 4, 4],
            num_res_blocks: 2,
            temporal_downsample: [false, true, true],
        },
    };

    /// All of Wan's structure in a few hundred thousand numbers: every kind of layer is there, and latents are as those of
    /// the real ones.
    pub const TOY: Self = Self {
        text: TextShape {
            vocab_size: 256,
            d_model: 32,
            d_kv: 8,
            d_ff: 48,
            num_layers: 2,
            num_heads: 4,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
        },
        transformer: TransformerShape {
            num_attention_heads: 2,
            attention_head_dim: 24,
            in_channels: 16,
            out_channels: 16,
            text_dim: 32,
            freq_dim: 32,
            ffn_dim: 64,
            num_layers: 2,
            patch_size: [1, 2, 2],
        },
        vae: VaeShape {
            base_dim: 4,
            z_dim: 16,
            dim_mult: [1, 2, 2, 2],
            num_res_blocks: 1,
            temporal_downsample: [false, true, true],
        },
    };
}

// === impl TransformerShape ===

impl TransformerShape {
    /// Wan 2.1 T2V 14B.
    pub const WAN: Self = Self {
        num_attention_heads: 40,
        attention_head_dim: 128,
        in_channels: 16,
        out_channels: 16,
        text_dim: 4096,
        freq_dim: 256,
        ffn_dim: 13_824,
        num_layers: 40,
        patch_size: [1, 2, 2],
    };

    /// The width of a token.
    pub fn inner_dim(&self) -> i64 {
        self.num_attention_heads * self.attention_head_dim
    }
}

// === impl VaeShape ===

impl VaeShape {
    /// Channels of the decoder's levels from the latents outwards: what comes in, then what each level has.
    pub fn decoder_dims(&self) -> [i64; 5] {
        let [a, b, c, d] = self.dim_mult;
        [d, d, c, b, a].map(|times| times * self.base_dim)
    }

    /// Which of the decoder's three doublings double time too, from the latents outwards.
    pub fn temporal_upsample(&self) -> [bool; 3] {
        let [a, b, c] = self.temporal_downsample;
        [c, b, a]
    }
}

/// The size of a video in latents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatentSize {
    /// Frames.
    pub frames: i64,
    /// Rows.
    pub rows: i64,
    /// Columns.
    pub columns: i64,
}

// === impl LatentSize ===

impl LatentSize {
    /// The latents of a video of this size, which the model can make.
    pub fn of(width: u32, height: u32, num_frames: u32) -> Self {
        Self {
            frames: (i64::from(num_frames) - 1) / TEMPORAL_SCALE + 1,
            rows: i64::from(height) / SPATIAL_SCALE,
            columns: i64::from(width) / SPATIAL_SCALE,
        }
    }

    /// Tokens of the transformer.
    pub fn tokens(&self, patch: [i64; 3]) -> i64 {
        (self.frames / patch[0]) * (self.rows / patch[1]) * (self.columns / patch[2])
    }
}
