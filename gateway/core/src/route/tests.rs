//! Which route a call takes.

use super::*;

fn route(service: &str, method: Option<&str>, cluster: &str) -> Route {
    Route {
        rule: Rule::parse(service, method).expect("rule"),
        header: None,
        cluster: cluster.to_owned(),
        timeouts: Timeouts::default(),
    }
}

#[test]
fn the_most_specific_rule_wins_in_any_order_of_writing() {
    let mut routes = vec![
        route("*", None, "any"),
        route("a.", None, "short"),
        route("a.b.", None, "long"),
        route("a.b.C", None, "service"),
        route("a.b.C", Some("M"), "method"),
        route("a.b.D", Some("M"), "only-method"),
    ];
    for _ in 0..2 {
        let table = RouteTable::new(routes.clone()).expect("no duplicates");
        let cluster = |path| table.find(path).map(|route| route.cluster.as_str());
        assert_eq!(cluster("/a.b.C/M"), Some("method"));
        assert_eq!(cluster("/a.b.C/N"), Some("service"));
        assert_eq!(cluster("/a.b.D/M"), Some("only-method"));
        assert_eq!(cluster("/a.b.D/N"), Some("long"));
        assert_eq!(cluster("/a.c.E/M"), Some("short"));
        assert_eq!(cluster("/z.E/M"), Some("any"));
        assert_eq!(
            table.find_service("a.b.C").map(|route| route.cluster.as_str()),
            Some("service")
        );
        assert_eq!(table.iter().count(), routes.len());
        routes.reverse();
    }
}

#[test]
fn a_header_leads_some_calls_elsewhere() {
    let narrowed = |service: &str| Route {
        header: Some(HeaderMatch::operations_of(service)),
        ..route("a.Ops", None, service)
    };
    let routes = [
        route("a.Ops", None, "first"),
        narrowed("video-gen"),
        narrowed("rag"),
    ];
    let table = RouteTable::new(routes).expect("no duplicates");
    let cluster = |path: &str, value: Option<&'static str>| {
        let found = table.find_for(path, |name| value.filter(|_| name == "x-goog-request-params"));
        found.map(|route| route.cluster.clone())
    };
    for value in ["name=operations/video-gen-01", "name=operations%2Fvideo-gen-01"] {
        assert_eq!(cluster("/a.Ops/Get", Some(value)).as_deref(), Some("video-gen"));
    }
    assert_eq!(
        cluster("/a.Ops/Get", Some("name=operations/rag-9")).as_deref(),
        Some("rag")
    );
    assert_eq!(
        cluster("/a.Ops/Get", Some("name=operations/first-9")).as_deref(),
        Some("first")
    );
    assert_eq!(cluster("/a.Ops/Get", None).as_deref(), Some("first"));
    assert_eq!(cluster("/a.Other/Get", Some("name=operations/rag-9")), None);
    assert_eq!(table.iter().count(), 3);
    let twice = [narrowed("rag"), narrowed("rag")];
    RouteTable::new(twice).expect_err("a duplicate");
}

#[test]
fn a_path_that_is_not_service_and_method_matches_nothing() {
    let table = RouteTable::new([route("*", None, "any")]).expect("one route");
    for path in ["", "/", "/a.B", "/a.B/", "//M", "a.B/M", "/a.B/M/x"] {
        assert!(table.find(path).is_none(), "{path:?}");
    }
}

#[test]
fn a_prefix_ends_at_a_dot_so_that_v1_is_not_v11() {
    let table = RouteTable::new([route("polyphony.asr.v1.", None, "asr")]).expect("one route");
    assert!(table.find("/polyphony.asr.v1.Speech/Recognize").is_some());
    assert!(table.find("/polyphony.asr.v11.Speech/Recognize").is_none());
}

#[test]
fn two_routes_for_the_same_calls_are_refused_by_name() {
    for rule in [("a.B", None), ("a.B", Some("M")), ("a.", None), ("*", None)] {
        let twice = [route(rule.0, rule.1, "one"), route(rule.0, rule.1, "two")];
        let error = RouteTable::new(twice).expect_err("a duplicate");
        assert!(
            error.to_string().contains("routed twice, to `one` and to `two`"),
            "{error}"
        );
    }
}

#[test]
fn what_is_no_rule_is_refused() {
    for (service, method) in [
        ("", None),
        ("a/b", None),
        (".a", None),
        ("a..b", None),
        ("a.*", None),
    ] {
        assert!(Rule::parse(service, method).is_err(), "{service:?}");
    }
    for (service, method) in [
        ("*", "M"),
        ("a.", "M"),
        ("a.B", "x.y"),
        ("a.B", "x/y"),
        ("a.B", ""),
    ] {
        assert!(matches!(
            Rule::parse(service, Some(method)),
            Err(Error::InvalidMethod { .. })
        ));
    }
}

#[test]
fn only_the_client_s_own_deadline_is_cut_and_only_unary_calls_get_one() {
    let secs = |n| Some(Duration::from_secs(n));
    let timeouts = Timeouts {
        max: secs(10),
        unary: secs(5),
        ..Timeouts::default()
    };
    assert_eq!(timeouts.deadline(secs(3), false), secs(3));
    assert_eq!(timeouts.deadline(secs(30), false), secs(10));
    assert_eq!(timeouts.deadline(None, true), secs(5));
    assert_eq!(timeouts.deadline(None, false), None);
    assert_eq!(Timeouts::default().deadline(secs(30), true), secs(30));
}
