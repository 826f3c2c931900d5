//! Where requests go, by what is known of upstreams.

use super::*;
use crate::config::{Kind, UpstreamConfig};
use crate::upstream::{Health, Sight};

fn upstream(name: &str, models: &[&str]) -> Arc<Upstream> {
    let config = UpstreamConfig::new("http://127.0.0.1:1", Kind::Openai);
    let upstream = Upstream::new(name, config, &Default::default()).expect("valid");
    upstream.saw(Sight::healthy(models.iter().map(|id| Model::new(id)).collect()));
    Arc::new(upstream)
}

fn down(upstream: &Upstream) {
    for _ in 0..2 {
        upstream.saw(Sight {
            health: Health::Unhealthy,
            ..Sight::default()
        });
    }
}

fn fleet(upstreams: Vec<Arc<Upstream>>, aliases: Vec<AliasConfig>) -> Fleet {
    Fleet::new(upstreams, aliases, String::new(), Policy::LeastLoad)
}

fn awq() -> AliasConfig {
    AliasConfig {
        name: "*-awq".to_owned(),
        model: "*".to_owned(),
        when: When::Unavailable,
    }
}

#[test]
fn an_alias_stands_in_only_while_the_model_is_down() {
    let (int4, fp16) = (upstream("int4", &["qwen-awq"]), upstream("fp16", &["qwen"]));
    let fleet = fleet(vec![Arc::clone(&int4), fp16], vec![awq()]);
    let meant = fleet.meant("qwen-awq", ModelKind::Chat).expect("there");
    assert_eq!((meant.model.as_str(), meant.stands_in), ("qwen-awq", false));
    down(&int4);
    let meant = fleet.meant("qwen-awq", ModelKind::Chat).expect("stands in");
    assert_eq!((meant.model.as_str(), meant.stands_in), ("qwen", true));
    assert!(matches!(
        fleet.meant("llama-awq", ModelKind::Chat),
        Err(Error::UnknownModel { .. })
    ));
}

#[test]
fn one_missed_look_does_not_take_an_upstream_away() {
    let one = upstream("one", &["m"]);
    one.saw(Sight {
        health: Health::Unhealthy,
        ..Sight::default()
    });
    assert!(one.takes_requests(Instant::now()).is_ok());
    down(&one);
    assert!(one.takes_requests(Instant::now()).is_err());
    let fleet = fleet(vec![one], Vec::new());
    let meant = fleet.meant("m", ModelKind::Chat).expect("known still");
    let refused = fleet.choose(&meant, &Preference::default(), None, &[]);
    assert!(matches!(refused, Err(Error::NoneAnswers { .. })), "{refused:?}");
}

#[tokio::test]
async fn the_less_busy_one_is_taken_and_the_tried_one_is_not() {
    let (one, two) = (upstream("one", &["m"]), upstream("two", &["m"]));
    let fleet = fleet(vec![Arc::clone(&one), two], Vec::new());
    let _place = one.lane.enter(|_| {}).await.expect("a place");
    let meant = fleet.meant("m", ModelKind::Chat).expect("there");
    let any = Preference::default();
    let choice = fleet.choose(&meant, &any, None, &[]).expect("a choice");
    assert_eq!(&*choice.upstream.name, "two");
    let choice = fleet
        .choose(&meant, &any, None, &[Arc::from("two")])
        .expect("a choice");
    assert_eq!(&*choice.upstream.name, "one");
    let both = [Arc::from("one"), Arc::from("two")];
    assert_eq!(
        &*fleet
            .choose(&meant, &any, None, &both)
            .expect("again")
            .upstream
            .name,
        "two"
    );
}

#[test]
fn a_session_stays_and_only_those_of_the_one_that_goes_move() {
    let all: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|name| upstream(name, &["m"]))
        .collect();
    let fleet = fleet(all.clone(), Vec::new());
    let meant = fleet.meant("m", ModelKind::Chat).expect("there");
    let place = |key: usize| {
        let preference = Preference {
            policy: Some(Policy::Session),
            session_key: key.to_string(),
            ..Preference::default()
        };
        fleet
            .choose(&meant, &preference, None, &[])
            .expect("a choice")
            .upstream
            .name
            .to_string()
    };
    let before: Vec<String> = (0..300).map(place).collect();
    for name in ["a", "b", "c"] {
        let share = before.iter().filter(|one| *one == name).count();
        assert!((60..140).contains(&share), "{name} has {share} of 300");
    }
    down(&all[1]);
    for (key, was) in before.iter().enumerate() {
        if was != "b" {
            assert_eq!(&place(key), was);
        }
    }
}

#[test]
fn a_known_beginning_goes_where_it_was_seen() {
    let fleet = fleet(vec![upstream("a", &["m"]), upstream("b", &["m"])], Vec::new());
    let meant = fleet.meant("m", ModelKind::Chat).expect("there");
    let text = "The same long beginning. ".repeat(40);
    let affine = Preference {
        policy: Some(Policy::PrefixAffinity),
        ..Preference::default()
    };
    fleet.note(&Prefix::of("m", text.as_bytes()), &Arc::from("b"));
    for _ in 0..20 {
        let longer = Prefix::of("m", format!("{text}And more.").as_bytes());
        let choice = fleet
            .choose(&meant, &affine, Some(&longer), &[])
            .expect("a choice");
        assert_eq!(&*choice.upstream.name, "b");
        assert!(choice.reason.starts_with("prefix of "), "{}", choice.reason);
    }
    let other = Prefix::of("m", "Another beginning".repeat(40).as_bytes());
    assert!(
        fleet
            .choose(&meant, &affine, Some(&other), &[])
            .expect("a choice")
            .reason
            .starts_with("least load")
    );
}
