//! Counts against the published figures, and how memory goes with what is asked for.

use super::*;
use crate::catalogue;

const GEOMETRY: Geometry = Geometry {
    width: 832,
    height: 480,
    num_frames: 81,
    num_inference_steps: 50,
    guided: true,
    vae_tiling: false,
    offload_text_encoder: false,
};

fn shapes(id: &str) -> Shapes {
    catalogue::find(id).unwrap().shapes
}

fn at_480p(id: &str) -> Estimate {
    estimate(&shapes(id), &GEOMETRY, Precision::Bf16)
}

/// Figures of the authors: 1.3 and 14 billion parameters beside umT5-XXL's 5.7.
#[test]
fn parameters_are_those_of_the_published_models() {
    let count = |id| {
        let (narrow, kept) = denoising::parameters(&shapes(id).transformer);
        narrow + kept
    };
    assert_eq!(count("wan2.1-t2v-1.3b"), 1_418_996_800);
    assert_eq!(count("wan2.1-t2v-14b"), 14_288_491_584);
    assert_eq!(encoding::parameters(&Shapes::WAN.text), 5_680_910_336);
}

/// 0.57 and 3.3 PFLOP a guided step at 480p, worked out by hand from the paper's sizes.
#[test]
fn a_step_costs_what_its_products_do() {
    let small = at_480p("wan2.1-t2v-1.3b").step_flops as f64 / 1e15;
    let large = at_480p("wan2.1-t2v-14b").step_flops as f64 / 1e15;
    assert!((0.55..0.59).contains(&small), "{small}");
    assert!((3.2..3.4).contains(&large), "{large}");
}

/// 40 blocks of two times 512 tokens, 5,120 wide, for two prompts in two bytes.
#[test]
fn what_is_kept_of_prompts_counts() {
    let shape = shapes("wan2.1-t2v-14b").transformer;
    assert_eq!(2 * denoising::prompt_bytes(&shape, 2), 838_860_800);
}

#[test]
fn tiles_take_less_memory_and_longer_videos_more() {
    let geometry = Geometry {
        width: 1280,
        height: 720,
        guided: false,
        ..GEOMETRY
    };
    let of = |geometry| estimate(&Shapes::WAN, &geometry, Precision::Bf16).peak_memory_bytes;
    assert!(
        of(Geometry {
            vae_tiling: true,
            ..geometry
        }) < of(geometry)
    );
    assert!(
        of(Geometry {
            num_frames: 41,
            ..geometry
        }) < of(geometry)
    );
    assert!(of(geometry) > WeightBytes::of(&Shapes::WAN, Precision::Bf16).most(false));
}

/// The two halves of 1.3B in bf16, and a card of 16 GB, of which a video may take nine tenths.
#[test]
fn halves_that_take_turns_take_as_much_as_the_larger_stage() {
    let shapes = shapes("wan2.1-t2v-1.3b");
    let of = |offload_text_encoder| {
        let geometry = Geometry {
            vae_tiling: true,
            offload_text_encoder,
            ..GEOMETRY
        };
        estimate(&shapes, &geometry, Precision::Bf16)
    };
    let weights = WeightBytes::of(&shapes, Precision::Bf16);
    assert_eq!(weights.text_encoder, 2 * 5_680_910_336);
    let (both, turns) = (of(false), of(true));
    assert_eq!(
        both.weights_bytes,
        weights.text_encoder + weights.transformer_and_vae
    );
    assert_eq!(turns.weights_bytes, weights.text_encoder);
    assert!(both.peak_memory_bytes > 16_000_000_000, "{both:?}");
    assert!(turns.peak_memory_bytes < 14_400_000_000, "{turns:?}");
    // Each stage fits, and nothing is there that is of neither.
    assert!(turns.peak_memory_bytes >= weights.text_encoder);
    assert!(both.peak_memory_bytes < turns.peak_memory_bytes + weights.text_encoder);
}
