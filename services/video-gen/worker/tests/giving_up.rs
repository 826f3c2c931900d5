//! What is given up ends soon, whatever it was doing.

use std::time::{Duration, Instant};

use polyphony_video_worker::error::Error;
use polyphony_video_worker::protocol::{Order, Sampler, Stage};
use polyphony_video_worker::shapes::Shapes;
use polyphony_video_worker::stop::Stop;
use polyphony_video_worker::wan::pipeline::{Pipeline, Progress};

use crate::parity::{cpu, order, repository};

fn long() -> Order {
    let mut order = order(Sampler::Unipc, 5.0);
    (
        order.width,
        order.height,
        order.num_frames,
        order.num_inference_steps,
    ) = (128, 96, 17, 50);
    order
}

/// Makes a video that is given up as soon as `at` says so, and tells what was heard afterwards.
fn given_up(order: &Order, at: impl Fn(&Progress) -> bool) -> Vec<Progress> {
    let mut pipeline = Pipeline::random(Shapes::TOY, cpu());
    let stop = Stop::default();
    let mut after = Vec::new();
    let mut stopped = false;
    let outcome = pipeline.make(order, &stop, &mut |progress| {
        if stopped {
            after.push(progress);
        } else if at(&progress) {
            stopped = true;
            stop.stop();
        }
        Ok(())
    });
    assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    after
}

#[test]
fn text_encoding_denoising_and_decoding_end_where_they_are() {
    let order = long();
    let cases: [fn(&Progress) -> bool; 4] = [
        |progress| matches!(progress, Progress::Stage(Stage::TextEncoding)),
        |progress| matches!(progress, Progress::Step { step: 2, .. }),
        |progress| matches!(progress, Progress::Stage(Stage::Decoding)),
        |progress| matches!(progress, Progress::Decoded { part: 1, .. }),
    ];
    for (number, case) in cases.into_iter().enumerate() {
        let after = given_up(&order, case);
        assert!(after.is_empty(), "case {number}: {after:?}");
    }
}

#[test]
fn it_takes_less_than_a_step() {
    let mut order = long();
    (order.width, order.height) = (256, 256);
    let mut pipeline = Pipeline::random(Shapes::TOY, cpu());
    let stop = Stop::default();
    let (mut asked, mut step_took) = (None, Duration::ZERO);
    let outcome = pipeline.make(&order, &stop, &mut |progress| {
        if let Progress::Step { step: 1, seconds } = progress {
            step_took = Duration::from_secs_f64(seconds);
            let (stop, half) = (stop.clone(), step_took / 2);
            // In the middle of the next step.
            asked = Some(std::thread::spawn(move || {
                std::thread::sleep(half);
                stop.stop();
                Instant::now()
            }));
        }
        Ok(())
    });
    let ended = Instant::now();
    assert!(matches!(outcome, Err(Error::Cancelled)));
    let took = ended.duration_since(asked.unwrap().join().unwrap());
    // The rest of the step would take half; a busy machine may be slow to look.
    assert!(
        took < step_took * 2 + Duration::from_secs(1),
        "{took:?} after it was asked; a step takes {step_took:?}"
    );
}

#[test]
fn loading_ends_too() {
    let stop = Stop::default();
    stop.stop();
    let mut pipeline = Pipeline::random(Shapes::TOY, cpu());
    assert!(matches!(pipeline.load(false, &stop), Err(Error::Cancelled)));
    assert_eq!(pipeline.bytes(), 0);
    let opened = Pipeline::open(&repository(), &[Shapes::TOY], "toy", cpu(), &stop);
    assert!(matches!(opened, Err(Error::Cancelled)));
}
