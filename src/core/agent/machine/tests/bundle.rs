//! What depends on what the script and its options say: the bundle on its way, the terms, the rules, the samples' outlet.

use super::*;

#[test]
fn instance_1_hands_its_bundle_on_when_it_has_it() {
    let mut life = Life::new();
    life.says(Input::SessionUp);
    let wanted = || Input::Message(FromAggregator::SendBundle(SendBundle { offset: 0 }));
    assert!(life.says(wanted()).is_empty());
    let own = bundle(&serde_json::json!({}));
    let part = Action::Send(ToAggregator::Bundle(own.part(0)));
    assert!(life.says(bundled()).contains(&part));
    assert_eq!(life.says(wanted()), [part]);
    assert_eq!(life.report().bundle_sha256, own.sha256);
}

#[test]
fn the_others_ask_for_it_in_each_session_and_run_it_when_it_lies_in_its_place() {
    let mut life = Life::new();
    life.machine.config.instance_id = 2;
    let ask = [Action::Send(ToAggregator::WantBundle(WantBundle { offset: 0 }))];
    assert_eq!(life.says(Input::SessionUp), ask);
    life.says(Input::SessionDown);
    assert_eq!(life.says(Input::SessionUp), ask);
    life.says(version());
    let bundle = bundle(&serde_json::json!({}));
    let part = || Input::Message(FromAggregator::Bundle(bundle.part(0)));
    assert_eq!(life.says(part()), [Action::StoreBundle(bundle.bytes.clone())]);
    assert!(life.says(part()).is_empty(), "a part that comes twice changes nothing");
    assert!(life.machine.bundle.as_ref().unwrap().bytes.is_empty(), "it is a file by now");
    let actions = life.says(Input::BundleStored(Ok(())));
    assert!(matches!(actions[..], [Action::StartK6 { .. }]), "{actions:?}");
    life.says(Input::SessionDown);
    assert!(life.says(Input::SessionUp).is_empty());
}

#[test]
fn an_instance_that_cannot_keep_the_bundle_may_be_replaced() {
    let mut life = Life::new();
    life.machine.config.instance_id = 2;
    life.says(Input::SessionUp);
    life.says(version());
    let bundle = bundle(&serde_json::json!({}));
    life.says(Input::Message(FromAggregator::Bundle(bundle.part(0))));
    life.says(Input::BundleStored(Err("no space left on device".to_owned())));
    life.says(Input::SamplesEnded);
    assert_eq!(life.reason().unwrap(), "RunnersLost");
    let actions = life.after(1000);
    assert!(matches!(actions[..], [Action::Leave(Leave::Failed(_))]), "{actions:?}");
}

#[test]
fn the_terms_are_said_once_in_each_session_as_soon_as_they_are_known() {
    let mut life = Life::new();
    life.machine.config.user.summary_mode = Some("full".to_owned());
    let mut said = |input: Input| {
        let actions = life.machine.handle(input, life.now);
        let terms = |action| match action {
            Action::Send(ToAggregator::Terms(terms)) => Some(terms),
            _ => None,
        };
        actions.into_iter().filter_map(terms).collect::<Vec<_>>()
    };
    assert!(said(Input::SessionUp).is_empty());
    assert!(said(bundled()).is_empty(), "the summary depends on the version");
    let terms = said(version());
    assert_eq!(terms.len(), 1);
    assert_eq!(terms[0].k6_version, "v2.2.0");
    let settings: Settings = serde_json::from_slice(&terms[0].summary).unwrap();
    assert_eq!(settings.mode, Mode::Full);
    assert!(said(Input::Tick).is_empty());
    assert!(said(Input::SessionDown).is_empty());
    assert_eq!(said(Input::SessionUp), terms);
}

#[test]
fn the_ledger_is_kept_by_the_thresholds_of_script_and_spec() {
    let mut life = Life::new();
    let spec = |source: &str| ThresholdSpec { source: source.to_owned(), ..Default::default() };
    life.machine.config.thresholds =
        [("checks".to_owned(), vec![spec("rate>0.5")])].into_iter().collect();
    life.says(version());
    let script = serde_json::json!({"thresholds": {"checks": ["rate>0.9"]}});
    let actions = life.machine.handle(Input::Bundled(Ok(bundle(&script))), life.now);
    let rules = actions.iter().find_map(|action| match action {
        Action::KeepLedger { rules, full: false, .. } => Some(rules),
        _ => None,
    });
    let rules = rules.expect("rules before k6 starts").list();
    let sources: Vec<_> =
        rules.flat_map(|rule| &rule.thresholds).map(|one| one.spec.source.as_str()).collect();
    assert_eq!(sources, ["rate>0.9", "rate>0.5"]);
}

#[test]
fn thresholds_and_summaries_that_k6_would_refuse_are_refused() {
    let mut life = Life::new();
    life.machine.config.thresholds = [(
        "checks".to_owned(),
        vec![ThresholdSpec { source: "rate".into(), ..Default::default() }],
    )]
    .into_iter()
    .collect();
    life.says(version());
    life.says(bundled());
    let failure = life.report().failure.unwrap();
    assert_eq!((failure.reason.as_str(), failure.exit_code), ("InvalidSpec", Some(104)));
    assert!(failure.message.contains("checks"), "{}", failure.message);
    let mut life = Life::new();
    life.machine.config.user.summary_mode = Some("legacy".to_owned());
    life.says(version());
    life.says(bundled());
    assert_eq!(life.reason().unwrap(), "InvalidSpec");
}

#[test]
fn handle_summary_runs_once_after_k6_has_gone_and_is_answered_as_often_as_asked() {
    let mut life = Life::ended();
    let ask = || Input::Message(FromAggregator::RunSummary(RunSummary { data: "{}".into() }));
    assert!(life.says(ask()).is_empty(), "k6 is still there");
    life.says(finish());
    let actions = life.says(Input::Exited(exit(0)));
    let run = Action::RunSummary { data: "{}".into(), timeout_ms: 130_000 };
    assert!(actions.contains(&run), "{actions:?}");
    assert!(life.says(ask()).is_empty());
    let answer = life.says(Input::SummaryRan(Ok("[]".into())));
    assert!(matches!(&answer[..], [Action::Send(ToAggregator::Summary(o))] if o.ok), "{answer:?}");
    assert_eq!(life.says(ask()), answer);
}

#[test]
fn a_test_that_aborts_itself_in_a_call_ends_as_one_k6_would() {
    let mut life = Life::ready();
    life.says(run_setup());
    let text = "test aborted: enough at setup (file:///t.js:4:53(6))";
    let answer = life.says(Input::SetupRan(Err(text.to_owned())));
    let [Action::Send(ToAggregator::Setup(outcome))] = &answer[..] else { panic!("{answer:?}") };
    let failure = outcome.failure.as_ref().unwrap();
    assert_eq!((failure.reason.as_str(), failure.exit_code), ("Aborted", Some(108)));
}

#[test]
fn what_the_script_imports_decides_where_samples_go_and_who_tags_them() {
    let started = |imports: &str| {
        let mut life = Life::new();
        life.says(version());
        let options = bundle(&serde_json::json!({})).options;
        let bundle =
            Bundle::new(format!("import '{imports}'").into_bytes(), options.to_vec()).unwrap();
        let actions = life.says(Input::Bundled(Ok(bundle)));
        let start = actions.into_iter().find_map(|action| match action {
            Action::StartK6 { tags, outlet } => Some((outlet, !tags.is_empty())),
            _ => None,
        });
        start.unwrap()
    };
    assert_eq!(started("k6/http"), (Outlet::Stdout, false));
    assert_eq!(started("k6/execution"), (Outlet::Stdout, true));
    assert_eq!(started("k6/x/sql"), (Outlet::Pipe, true));
}
