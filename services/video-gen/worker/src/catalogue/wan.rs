//! Wan 2.1 text to video (Wan Team, Alibaba 2025, arXiv 2503.20314), in its two sizes.

use super::Model;
use crate::shapes::{Shapes, TransformerShape};

/// The prompt against which it was tuned, as its authors publish it: garish, overexposed, still, blurred, subtitles,
/// styles, paintings, grey, low quality, JPEG artefacts, ugly, mutilated, surplus fingers, badly drawn hands and faces, deformed,
/// merged fingers, a still picture, a cluttered or crowded background, three legs, walking backwards.
const NEGATIVE_PROMPT: &str = "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，\
    最差质量，低质量，JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，\
    手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走";

pub(super) static MODELS: &[Model] = &[
    Model {
        id: "wan2.1-t2v-1.3b",
        aliases: &["wan2.1", "wan", "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"],
        title: "Wan 2.1 T2V 1.3B",
        repository: "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        license: "Apache-2.0",
        sizes: &[(832, 480), (480, 832)],
        size_multiple: 16,
        frame_multiple: 4,
        max_frames: 81,
        negative_prompt: NEGATIVE_PROMPT,
        shapes: Shapes {
            transformer: TransformerShape {
                num_attention_heads: 12,
                attention_head_dim: 128,
                ffn_dim: 8960,
                num_layers: 30,
                ..TransformerShape::WAN
            },
            ..Shapes::WAN
        },
    },
    Model {
        id: "wan2.1-t2v-14b",
        aliases: &["Wan-AI/Wan2.1-T2V-14B-Diffusers"],
        title: "Wan 2.1 T2V 14B",
        repository: "Wan-AI/Wan2.1-T2V-14B-Diffusers",
        license: "Apache-2.0",
        sizes: &[(1280, 720), (720, 1280), (832, 480), (480, 832)],
        size_multiple: 16,
        frame_multiple: 4,
        max_frames: 81,
        negative_prompt: NEGATIVE_PROMPT,
        shapes: Shapes::WAN,
    },
];
