//! Lines and messages, there and back.

use std::io::Cursor;
use std::path::PathBuf;

use super::*;

fn order() -> Order {
    Order {
        id: "a".into(),
        model: "wan2.1-t2v-1.3b".into(),
        weights: Weights::Dummy { size: DummySize::Toy },
        prompt: "a cat\nwith \"quotes\"".into(),
        negative_prompt: String::new(),
        width: 64,
        height: 48,
        num_frames: 9,
        frame_rate: 29.97,
        seed: u64::MAX,
        num_inference_steps: 4,
        guidance_scale: 5.0,
        sampler: Sampler::Unipc,
        flow_shift: 3.0,
        vae_tiling: false,
        offload_text_encoder: false,
        preview_every_steps: 0,
        preview_folder: None,
        output: PathBuf::from("/o/a.mp4"),
        receipt: "{}".into(),
    }
}

#[test]
fn a_command_is_one_line_and_comes_back() {
    let command = Command::Generate {
        order: Box::new(order()),
    };
    let line = line(&command).unwrap();
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
    let mut pipe = Cursor::new(line);
    assert_eq!(read::<Command>(&mut pipe).unwrap(), Some(command));
    assert_eq!(read::<Command>(&mut pipe).unwrap(), None);
}

#[test]
fn the_wire_is_what_it_was() {
    let load = Command::Load {
        model: "m".into(),
        weights: Weights::Dummy {
            size: DummySize::Full,
        },
        offload_text_encoder: true,
    };
    assert_eq!(
        serde_json::to_string(&load).unwrap(),
        r#"{"command":"load","model":"m","weights":{"from":"dummy","size":"full"},"offload_text_encoder":true}"#
    );
    let failed = Event::Failed {
        id: None,
        model: None,
        kind: FailureKind::UnknownModel,
        message: "no".into(),
    };
    assert_eq!(
        serde_json::to_string(&failed).unwrap(),
        r#"{"event":"failed","id":null,"model":null,"kind":"unknown_model","message":"no"}"#
    );
}

#[test]
fn a_field_that_nobody_knows_is_refused() {
    let line = br#"{"command":"cancel","id":"a","soon":true}"#;
    assert!(matches!(parse::<Command>(line), Err(LineError::Unknown(_))));
}

#[test]
fn a_line_that_is_no_message_does_not_end_the_talk() {
    let mut pipe = Cursor::new(b"nonsense\n{\"command\":\"cancel\",\"id\":\"a\"}\n".to_vec());
    assert!(matches!(read::<Command>(&mut pipe), Err(LineError::Unknown(_))));
    assert!(matches!(
        read::<Command>(&mut pipe),
        Ok(Some(Command::Cancel { .. }))
    ));
}

#[test]
fn a_line_without_end_is_refused_after_its_limit() {
    let mut pipe = Cursor::new(vec![b'x'; MAX_LINE_BYTES * 4]);
    assert!(matches!(read::<Command>(&mut pipe), Err(LineError::TooLong)));
    assert_eq!(pipe.position(), MAX_LINE_BYTES as u64 + 1);
}

#[test]
fn a_line_that_is_cut_off_is_no_message() {
    let mut pipe = Cursor::new(br#"{"command":"cancel","id":"a"}"#.to_vec());
    assert!(matches!(read::<Command>(&mut pipe), Err(LineError::Pipe(_))));
}

#[test]
fn a_message_that_makes_too_long_a_line_is_not_written() {
    let cancel = Command::Cancel {
        id: "x".repeat(MAX_LINE_BYTES),
    };
    let mut sink = Vec::new();
    assert!(matches!(write(&mut sink, &cancel), Err(LineError::TooLong)));
    assert!(sink.is_empty());
}
