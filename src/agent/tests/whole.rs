//! Runs that go well.

use std::collections::BTreeSet;

use super::harness::Rig;
use crate::{agent::Exit, wire::session::AgentPhase};

/// 200 iterations over 4 VUs, one sample of each kind of metric in each; setup and teardown add to the counter.
const SCRIPT: &str = r#"
import { Counter, Gauge, Rate, Trend } from "k6/metrics";
const counter = new Counter("my_counter");
const gauge = new Gauge("my_gauge");
const rate = new Rate("my_rate");
const trend = new Trend("my_trend", true);
export const options = {
  scenarios: { main: { executor: "shared-iterations", vus: 4, iterations: 200, maxDuration: "30s" } },
  tags: { team: "checkout", nothing: "" },
};
export function setup() { counter.add(1000); return { answer: 42 }; }
export default function (data) {
  counter.add(1, { answer: String(data.answer), instance_id: "forged" });
  gauge.add(0.1 + 0.2);
  rate.add(true);
  trend.add(1.5, { own: "tag" });
}
export function teardown(data) { counter.add(data.answer); }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_arrives_exactly_once_with_its_tags() {
    let mut rig = Rig::start(SCRIPT, |_| {});
    rig.until_phase(AgentPhase::Ready).await;
    let requirements = rig.report.requirements.unwrap();
    assert_eq!((requirements.max_vus, requirements.total_duration_ms), (4, 60_000));
    assert_eq!((requirements.no_setup, requirements.setup_timeout_ms), (false, 60_000));
    assert!(rig.hellos[0].k6_version.starts_with('v'), "{:?}", rig.hellos[0]);

    rig.run_setup().await;
    rig.until("setup ran", |rig| !rig.setups.is_empty()).await;
    assert!(rig.setups[0].ok);
    assert_eq!(rig.setups[0].data.as_deref(), Some(&br#"{"answer":42}"#[..]));
    rig.give_setup_data(r#"{"answer":7}"#).await;
    rig.start_load().await;
    rig.until_phase(AgentPhase::Ended).await;
    assert!(
        rig.report.started_unix_ns > 0 && rig.report.ended_unix_ns > rig.report.started_unix_ns
    );
    rig.run_teardown().await;
    rig.until("teardown ran", |rig| !rig.teardowns.is_empty()).await;
    assert!(rig.teardowns[0].ok, "{:?}", rig.teardowns[0]);
    // Asked again, it is answered again, but not run again.
    rig.run_teardown().await;
    rig.until("teardown is answered again", |rig| rig.teardowns.len() == 2).await;
    let ended = rig.finish().await;

    assert_eq!(ended.exit, Exit::HandedOver);
    assert_eq!(ended.report.failure, None);
    assert_eq!(ended.report.k6_exit_code, Some(0));
    assert_eq!(ended.report.unparsable_lines, 0);
    assert_eq!(ended.samples.len() as u64, ended.report.emitted);
    assert_eq!(ended.report.outputs[0].stored, ended.report.emitted);

    let in_load = |metric: &str| {
        let all = ended.of(metric).into_iter();
        all.filter(|sample| !sample.dimensions.contains_key("group")).count()
    };
    for metric in ["my_counter", "my_gauge", "my_rate", "my_trend", "iterations"] {
        assert_eq!(in_load(metric), 200, "{metric}");
    }
    let counted = ended.of("my_counter");
    let in_setup =
        counted.iter().filter(|s| s.dimensions.get("group").is_some_and(|g| g == "::setup"));
    assert_eq!(in_setup.map(|sample| sample.value).collect::<Vec<_>>(), [1000.0]);
    let in_teardown =
        counted.iter().filter(|s| s.dimensions.get("group").is_some_and(|g| g == "::teardown"));
    assert_eq!(in_teardown.map(|sample| sample.value).collect::<Vec<_>>(), [7.0]);
    let answered = counted.iter().filter(|s| s.dimensions.get("answer").is_some_and(|a| a == "7"));
    assert_eq!(answered.count(), 200, "the VUs saw the data that was given, not their own");
    assert!(ended.of("my_gauge").iter().all(|s| s.value.to_bits() == (0.1_f64 + 0.2).to_bits()));
    assert!(ended.of("my_trend").iter().all(|s| s.dimensions["own"] == "tag"));

    for sample in &ended.samples {
        assert_eq!(sample.dimensions["instance_id"], "1", "{sample:?}");
        assert_eq!(sample.dimensions["team"], "checkout", "{sample:?}");
        assert_eq!(sample.dimensions["testid"], "checkout-1", "{sample:?}");
        assert!(!sample.dimensions.contains_key("nothing"), "{sample:?}");
    }
    let identities = ended
        .samples
        .iter()
        .map(|sample| (&sample.metric, &sample.dimensions, sample.time_ns))
        .collect::<BTreeSet<_>>();
    assert_eq!(identities.len(), ended.samples.len(), "no two samples share an identity");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_run_one_bundle_and_their_segments_add_up_to_the_whole() {
    let script = r#"
        import { Counter } from "k6/metrics";
        import exec from "k6/execution";
        const seen = new Counter("seen");
        export const options = {
          scenarios: { main: { executor: "shared-iterations", vus: 4, iterations: 101 } },
        };
        export default function () { seen.add(1, { at: String(exec.scenario.iterationInTest) }); }
    "#;
    let mut at = BTreeSet::new();
    let mut total = 0;
    let mut bundle = None;
    for instance_id in 1..=2 {
        let mut rig = Rig::start(script, |settings| {
            settings.instances = 2;
            settings.instance_id = instance_id;
            if instance_id == 2 {
                "/this/file/is/never/read.js".clone_into(&mut settings.script);
            }
        });
        match bundle.take() {
            None => bundle = Some(rig.fetch_bundle().await),
            Some(part) => rig.give_bundle(part).await,
        }
        rig.until_phase(AgentPhase::Ready).await;
        rig.start_load().await;
        rig.until_phase(AgentPhase::Ended).await;
        let ended = rig.finish().await;
        for sample in ended.of("seen") {
            assert_eq!(sample.dimensions["instance_id"], instance_id.to_string());
            at.insert(sample.dimensions["at"].clone());
            total += 1;
        }
    }
    assert_eq!((total, at.len()), (101, 101));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_session_costs_no_sample() {
    let script = r#"
        import { Counter } from "k6/metrics";
        import { sleep } from "k6";
        const mine = new Counter("mine");
        export const options = { scenarios: { main: {
          executor: "shared-iterations", vus: 2, iterations: 40, maxDuration: "30s" } } };
        export default function () { mine.add(1); sleep(0.1); }
    "#;
    let mut rig = Rig::start(script, |_| {});
    rig.until_phase(AgentPhase::Ready).await;
    rig.acknowledges = false;
    rig.start_load().await;
    rig.until("two frames came", |rig| rig.frames.len() >= 2).await;
    rig.cut();
    rig.until("the agent greets again", |rig| rig.hellos.len() == 2).await;
    assert_eq!(rig.hellos[0].incarnation, rig.hellos[1].incarnation);
    assert!(rig.hellos[1].report.as_ref().unwrap().acked == 0);
    let before = rig.frames_received;
    rig.until("all frames came again", |rig| rig.frames_received >= before + 2).await;
    rig.cut();
    rig.acknowledges = true;
    rig.until_phase(AgentPhase::Ended).await;
    let ended = rig.finish().await;
    assert_eq!(ended.of("mine").len(), 40);
    assert_eq!(ended.samples.len() as u64, ended.report.emitted);
    assert_eq!(
        ended.report.outputs[0].stored, ended.report.emitted,
        "an acknowledgement counts once"
    );
    assert_eq!(ended.exit, Exit::HandedOver);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_output_samples_are_read_but_not_shipped() {
    let mut rig = Rig::start(SCRIPT, |settings| settings.ship_samples = false);
    rig.until_phase(AgentPhase::Ready).await;
    rig.give_setup_data("{}").await;
    rig.start_load().await;
    rig.until_phase(AgentPhase::Ended).await;
    let ended = rig.finish().await;
    assert_eq!((ended.report.emitted, ended.samples.len()), (0, 0));
    assert_eq!((ended.report.unparsable_lines, ended.exit), (0, Exit::HandedOver));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_user_asks_on_the_command_line_is_honoured() {
    let script = r#"
        export const options = { vus: 1, iterations: 1, tags: { team: "script" } };
        export default function () { if (__ENV.COLOUR !== "red") throw new Error("no colour"); }
    "#;
    let mut rig = Rig::start(script, |settings| {
        let dir = settings.work_dir.parent().unwrap().join("mine.json");
        let out = format!("json={}", dir.display());
        let args = ["-e", "COLOUR=red", "-u3", "-i", "9", "--tag", "x=y", "--no-setup", "-o", &out];
        settings.args.extend(args.map(str::to_owned));
        settings.tags.insert("spec".to_owned(), "tag".to_owned());
    });
    rig.until_phase(AgentPhase::Ready).await;
    let requirements = rig.report.requirements.unwrap();
    assert_eq!((requirements.max_vus, requirements.no_setup), (3, true));
    rig.start_load().await;
    rig.until_phase(AgentPhase::Ended).await;
    let dir = std::mem::replace(&mut rig.dir, tempfile::tempdir().unwrap());
    let ended = rig.finish().await;
    assert_eq!(ended.of("iterations").len(), 9);
    for sample in &ended.samples {
        assert_eq!(sample.dimensions["x"], "y");
        assert_eq!(sample.dimensions["spec"], "tag");
        assert!(!sample.dimensions.contains_key("team"), "--tag replaces the script's tags");
    }
    let own_text = std::fs::read_to_string(dir.path().join("mine.json")).unwrap();
    let points =
        own_text.lines().filter(|line| line.contains(r#""metric":"iterations","type":"Point""#));
    assert_eq!(points.count(), 9, "the user's own output is written as well");
    assert!(own_text.contains(r#""instance_id":"1""#));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_runs_as_its_script_does() {
    let mut rig = Rig::start("", |settings| {
        let dir = settings.work_dir.parent().unwrap();
        std::fs::write(dir.join("lib.js"), "export const times = 3;").unwrap();
        let script = r#"
            import { times } from "./lib.js";
            export const options = { vus: 1, iterations: times, tags: { from: "archive" } };
            export default function () {}
        "#;
        std::fs::write(dir.join("main.js"), script).unwrap();
        let archived = std::process::Command::new(&settings.k6)
            .args(["archive", "--quiet", "-O", "test.tar", "main.js"])
            .current_dir(dir)
            .stdout(std::process::Stdio::null())
            .status();
        assert!(archived.unwrap().success());
        std::fs::remove_file(dir.join("lib.js")).unwrap();
        settings.script = dir.join("test.tar").to_string_lossy().into_owned();
    });
    rig.until_phase(AgentPhase::Ready).await;
    rig.start_load().await;
    rig.until_phase(AgentPhase::Ended).await;
    let ended = rig.finish().await;
    assert_eq!(ended.of("iterations").len(), 3);
    assert!(ended.samples.iter().all(|sample| sample.dimensions["from"] == "archive"));
}
