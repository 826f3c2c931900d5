//! Names lead to models, and orders are refused by their fields.

use std::path::PathBuf;

use super::*;

fn order(change: impl FnOnce(&mut Order)) -> Order {
    let weights = Weights::Dummy {
        size: DummySize::Full,
    };
    let mut order = Order {
        prompt: "a cat".into(),
        output: PathBuf::from("a.mp4"),
        ..models()[0].order("a", weights)
    };
    change(&mut order);
    order
}

#[test]
fn names_and_aliases_lead_to_models() {
    for model in models() {
        assert_eq!(find(model.id).unwrap().id, model.id);
        for alias in model.aliases {
            assert_eq!(find(&alias.to_uppercase()).unwrap().id, model.id);
        }
    }
}

#[test]
fn what_cannot_be_had_is_refused_with_its_reason() {
    assert!(find("waver").unwrap_err().to_string().contains("unreleased"));
    assert!(
        find("wan2.2")
            .unwrap_err()
            .to_string()
            .contains("not have it yet")
    );
    assert!(find("sora").unwrap_err().to_string().contains("wan2.1-t2v-1.3b"));
}

#[test]
fn defaults_can_be_made() {
    for model in models() {
        for size in [DummySize::Toy, DummySize::Full] {
            let weights = Weights::Dummy { size };
            let order = Order {
                prompt: "a cat".into(),
                ..model.order("a", weights)
            };
            assert_eq!(model.check(&order), Ok(()));
        }
        for (width, height) in model.sizes {
            assert_eq!(
                model.check(&order(|o| (o.width, o.height) = (*width, *height))),
                Ok(())
            );
        }
    }
}

#[test]
fn each_field_is_refused_by_its_name() {
    let model = &models()[0];
    type Change = fn(&mut Order);
    let cases: &[(&str, Change)] = &[
        ("id", |o| o.id.clear()),
        ("prompt", |o| o.prompt = "é".repeat(4001)),
        ("negative_prompt", |o| o.negative_prompt = "x".repeat(4001)),
        ("width", |o| o.width = 840),
        ("width", |o| (o.width, o.height) = (2048, 2048)),
        ("height", |o| o.height = 0),
        ("num_frames", |o| o.num_frames = 80),
        ("num_frames", |o| o.num_frames = 0),
        ("num_frames", |o| o.num_frames = 85),
        ("num_inference_steps", |o| o.num_inference_steps = 0),
        ("frame_rate", |o| o.frame_rate = f32::NAN),
        ("guidance_scale", |o| o.guidance_scale = -1.0),
        ("flow_shift", |o| o.flow_shift = 0.0),
        ("flow_shift", |o| o.flow_shift = f32::NAN),
    ];
    for (field, change) in cases {
        assert_eq!(model.check(&order(change)).unwrap_err().field, *field);
    }
}

#[test]
fn frames_are_rounded_to_what_can_be_made() {
    let model = &models()[0];
    let pairs = [(0, 1), (1, 1), (2, 1), (3, 5), (80, 81), (81, 81), (900, 81)];
    for (asked, nearest) in pairs {
        assert_eq!(model.nearest_frames(asked), nearest);
    }
}
