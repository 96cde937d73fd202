//! What no run of k6 into a pipe can show: colours, and views that no script makes.

use std::collections::BTreeMap;

use crate::core::{
    ledger::view::{Check, Contains, Group, Judged, Kind, Metric, Trend, Values, View},
    summary::{
        data,
        settings::{Mode, Settings},
        stat::Stat,
        text,
    },
};

fn metric(contains: Contains, values: Values, judged: &[(&str, bool)]) -> Metric {
    let kind = match values {
        Values::Counter { .. } => Kind::Counter,
        Values::Gauge { .. } => Kind::Gauge,
        Values::Rate { .. } => Kind::Rate,
        Values::Trend(_) => Kind::Trend,
    };
    let judged = judged.iter().map(|(source, passed)| Judged {
        source: (*source).to_owned(),
        passed: *passed,
        value: None,
        abort_on_fail: false,
        delay_abort_eval: String::new(),
    });
    Metric { kind, contains, values, thresholds: judged.collect(), parent: None }
}

fn view() -> View {
    let mut took = Trend::default();
    took.add(1500.0);
    let check = |name: &str, passes, fails| Check { name: name.to_owned(), passes, fails };
    let metrics = [
        ("checks", metric(Contains::Default, Values::Rate { trues: 5, total: 7 }, &[])),
        (
            "orders",
            metric(
                Contains::Default,
                Values::Counter { count: 20.0, rate: 10.0 },
                &[("count>10", true), ("rate>20", false)],
            ),
        ),
        (
            "orders{color:red}",
            metric(Contains::Default, Values::Counter { count: 3.0, rate: 1.5 }, &[]),
        ),
        ("took", metric(Contains::Time, Values::Trend(took), &[("p(99)<2000", true)])),
        ("vus", metric(Contains::Default, Values::Gauge { value: 2.0, min: 1.0, max: 10.0 }, &[])),
    ];
    View {
        metrics: metrics.map(|(name, metric)| (name.to_owned(), metric)).into_iter().collect(),
        duration_ns: 2_000_000_000,
        groups: vec![
            Group { path: String::new(), checks: vec![check("held", 4, 0)] },
            Group { path: "::inner".to_owned(), checks: vec![check("broke", 1, 2)] },
        ],
        checks: vec![check("held", 4, 0), check("broke", 1, 2)],
        ..View::default()
    }
}

fn settings(mode: Mode) -> Settings {
    let trend_stats = ["avg", "count"].into_iter().filter_map(Stat::parse).collect();
    Settings { mode, trend_stats, stdout_tty: true, ..Settings::default() }
}

/// Colours in words that can be read.
fn shown(text: &str) -> String {
    let names = [
        ("0", "/"),
        ("1", "bold"),
        ("32", "green"),
        ("31", "red"),
        ("37", "white"),
        ("36", "cyan"),
    ];
    let faint =
        [("2;36", "faint cyan"), ("36;2", "cyan faint"), ("2;37", "faint white"), ("2", "faint")];
    let mut text = text.to_owned();
    for (code, name) in names.into_iter().chain(faint) {
        text = text.replace(&format!("\x1b[{code}m"), &format!("<{name}>"));
    }
    text
}

#[test]
fn a_terminal_gets_colours() {
    let wanted = "

  █ <bold>THRESHOLDS</> 

    orders
    <green>✓</> <white>'count>10'</> <white>count</>=<cyan>20</>
    <red>✗</> <white>'rate>20'</> <white>rate</>=<cyan>10/s</>

    took
    <green>✓</> <white>'p(99)<2000'</> <white>p(99)</>=<cyan>1.5s</>


  █ <bold>TOTAL RESULTS</> 

    checks_total<faint white>.......:</> <cyan>7</>      <faint cyan>3.5/s</>
    checks_succeeded<faint white>...:</> <cyan>71.42%</> <faint cyan>5 out of 7</>
    checks_failed<faint white>......:</> <cyan>28.57%</> <faint cyan>2 out of 7</>

    <green>✓ held</>
    <red>✗ broke</>
      <red>↳  33% — ✓ 1 / ✗ 2</>

    <bold>CUSTOM</>
    orders<faint white>............:</> <cyan>20</> <faint cyan>10/s</>
      { color:red }<faint white>...:</> <cyan>3</>  <faint cyan>1.5/s</>
    took<faint white>..............:</> avg=<cyan>1.5s</> count=<cyan>1</>

    <bold>EXECUTION</>
    vus<faint white>...............:</> <cyan>2</>  <faint cyan>min=1</> <faint cyan>max=10</>



";
    let text = text::write(&view(), &settings(Mode::Compact));
    assert_eq!(shown(&text), wanted);
}

#[test]
fn a_terminal_gets_the_colours_of_the_legacy_text() {
    let wanted = "
<green>     ✓ held</>

     █ inner

<red>       ✗ broke
        ↳  33% — ✓ 1 / ✗ 2</>

     checks<faint>............:</> <cyan>71.42%</> <cyan faint>5 out of 7</>
   <red>✗</> orders<faint>............:</> <cyan>20</>     <cyan faint>10/s</>
       { color:red }<faint>...:</> <cyan>3</>      <cyan faint>1.5/s</>
   <green>✓</> took<faint>..............:</> avg=<cyan>1.5s</> count=<cyan>1</>
     vus<faint>...............:</> <cyan>2</>      <cyan faint>min=1</>      <cyan faint>max=10</>

";
    let text = text::write(&view(), &settings(Mode::Legacy));
    assert_eq!(shown(&text), wanted);
}

#[test]
fn no_colours_stand_where_nobody_wants_them() {
    let text = |settings: Settings| text::write(&view(), &settings);
    let piped = text(Settings { stdout_tty: false, ..settings(Mode::Full) });
    assert!(!piped.contains('\x1b'));
    assert_eq!(piped, text(Settings { no_color: true, ..settings(Mode::Full) }));
    assert_eq!(text(settings(Mode::Disabled)), "");
}

#[test]
fn a_view_of_nothing_is_shown_as_such() {
    let text = text::write(&View::default(), &settings(Mode::Full));
    assert_eq!(shown(&text), "\n\n  █ <bold>TOTAL RESULTS</> \n\n\n\n");
    let data = data::write(&View::default(), &settings(Mode::Full), None);
    assert_eq!(data["metrics"], serde_json::json!({}));
    assert_eq!(data["root_group"]["id"], "d41d8cd98f00b204e9800998ecf8427e");
}

#[test]
fn groups_without_a_known_parent_and_numbers_beyond_json_do_no_harm() {
    let mut view = view();
    view.groups = vec![Group { path: "no separator".to_owned(), checks: Vec::new() }];
    view.by_group = BTreeMap::from([("::a::b".to_owned(), view.metrics.clone())]);
    let endless = Values::Counter { count: f64::INFINITY, rate: f64::NAN };
    view.metrics.insert("endless".to_owned(), metric(Contains::Data, endless, &[]));
    let text = text::write(&view, &Settings { no_color: true, ..settings(Mode::Full) });
    assert!(text.contains("  █ GROUP: a \n\n    ↳ GROUP: b \n"), "{text}");
    let data = data::write(&view, &settings(Mode::Full), None);
    assert!(data["metrics"]["endless"]["values"]["count"].is_null());
}
