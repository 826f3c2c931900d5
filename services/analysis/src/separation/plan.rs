//! What was asked for, against what a model can do.

use std::time::Duration;

use polyphony_error::Fault;

use super::Shape;
use crate::domain::{SeparationOptions, SeparationPlan};
use crate::engine::Error;

/// Shorter segments cost as much as long ones, so the least is so many times shorter than the model's.
const SHORTEST: u32 = 8;

/// What will be done. A seed that was not given is drawn.
///
/// # Errors
/// [`Error::Request`] names the field that is out of range, or that the model cannot do.
pub fn plan(shape: &Shape, options: &SeparationOptions) -> Result<SeparationPlan, Error> {
    options.check()?;
    for (index, stem) in options.stems.iter().enumerate() {
        let field = format!("config.stems[{index}]");
        if !shape.stems.contains(stem) {
            let known = shape.stems.join(", ");
            return Err(Fault::invalid(
                field,
                format!("{stem:?} is no stem of this model, which has {known}"),
            )
            .into());
        }
        if options.stems[..index].contains(stem) {
            return Err(Fault::invalid(field, format!("{stem:?} is there twice")).into());
        }
    }
    let longest = shape.rate.duration(shape.segment as u64);
    let segment = options.segment.unwrap_or(longest);
    if segment > longest || segment < longest / SHORTEST {
        let (least, most) = (seconds(longest / SHORTEST), seconds(longest));
        let problem = format!(
            "{} s is not within {least} s to {most} s, the model's own",
            seconds(segment)
        );
        return Err(Fault::invalid("config.segment_duration", problem).into());
    }
    let wanted = if options.stems.is_empty() {
        shape.stems.clone()
    } else {
        options.stems.clone()
    };
    let rest = options.include_rest.then(|| format!("no_{}", wanted[0]));
    Ok(SeparationPlan {
        stems: wanted.iter().cloned().chain(rest).collect(),
        channels: shape.channels as u32,
        options: SeparationOptions {
            stems: wanted,
            seed: Some(options.seed.unwrap_or_else(|| fastrand::u64(..))),
            segment: Some(segment),
            ..options.clone()
        },
    })
}

/// To three digits, without needless ones.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use polyphony_audio::pcm::SampleRate;

    use super::*;

    fn shape() -> Shape {
        Shape {
            rate: SampleRate::new(44_100).expect("a rate"),
            channels: 2,
            segment: 343_980,
            stems: ["drums", "bass", "other", "vocals"].map(str::to_owned).to_vec(),
            weights: vec![vec![1.0; 4]],
        }
    }

    fn refusal(options: &SeparationOptions) -> String {
        let error = plan(&shape(), options).expect_err("refused");
        Fault::from(error).message.into_owned()
    }

    #[test]
    fn defaults_are_filled_in() {
        let plan = plan(&shape(), &SeparationOptions::default()).expect("a plan");
        assert_eq!(plan.stems, ["drums", "bass", "other", "vocals"]);
        assert_eq!(plan.options.stems, plan.stems);
        assert_eq!(plan.options.segment, Some(Duration::from_millis(7_800)));
        assert!(plan.options.seed.is_some());
    }

    #[test]
    fn the_rest_comes_after_its_stem() {
        let options = SeparationOptions {
            stems: vec!["vocals".to_owned()],
            include_rest: true,
            seed: Some(3),
            ..SeparationOptions::default()
        };
        let plan = plan(&shape(), &options).expect("a plan");
        assert_eq!(plan.stems, ["vocals", "no_vocals"]);
        assert_eq!(plan.options.seed, Some(3));
    }

    #[test]
    fn what_the_model_cannot_do_is_refused_by_its_field() {
        let with = |stems: &[&str], segment_ms: Option<u64>| SeparationOptions {
            stems: stems.iter().map(|stem| (*stem).to_owned()).collect(),
            segment: segment_ms.map(Duration::from_millis),
            ..SeparationOptions::default()
        };
        assert_eq!(
            refusal(&with(&["vocals", "piano"], None)),
            "config.stems[1]: \"piano\" is no stem of this model, which has drums, bass, other, vocals"
        );
        assert_eq!(
            refusal(&with(&["bass", "bass"], None)),
            "config.stems[1]: \"bass\" is there twice"
        );
        for segment_ms in [7_801, 900] {
            assert!(
                refusal(&with(&[], Some(segment_ms)))
                    .ends_with("s is not within 0.975 s to 7.8 s, the model's own"),
                "{segment_ms}"
            );
        }
        let rest = SeparationOptions {
            include_rest: true,
            ..with(&[], None)
        };
        assert!(refusal(&rest).starts_with("config.include_rest"));
    }
}
