//! Runs that end in another way than planned.

use super::harness::Rig;
use crate::{
    agent::Exit,
    wire::session::{AgentPhase, Failure, Goodbye, Refused, to_agent::Message},
};

const ENDLESS: &str = r#"
import { Counter } from "k6/metrics";
import { sleep } from "k6";
const mine = new Counter("mine");
export const options = { vus: 2, duration: "10m" };
export function setup() { if (__ENV.SLOW) sleep(600); return {}; }
export default function () { mine.add(1); sleep(0.05); }
export function teardown() { mine.add(100); }
"#;

fn failure(rig: &Rig) -> Failure {
    rig.report.failure.clone().expect("a failure")
}

/// An agent whose script never gets ready.
async fn unready(script: &str) -> (Failure, Option<i32>) {
    let mut rig = Rig::start(script, |_| {});
    rig.until_phase(AgentPhase::Finished).await;
    let failure = failure(&rig);
    let ended = rig.finish().await;
    assert_eq!(ended.exit, Exit::HandedOver, "a bad script is no reason to try again");
    assert_eq!(ended.report.failure.as_ref(), Some(&failure));
    (failure, ended.report.k6_exit_code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_syntax_error_is_told_in_k6s_own_words() {
    let (failure, code) = unready("export default function ( {").await;
    assert_eq!((failure.reason.as_str(), failure.exit_code), ("ScriptFailed", Some(107)));
    assert!(failure.message.contains("Unexpected end of input"), "{}", failure.message);
    assert!(failure.message.contains("test.js"), "{}", failure.message);
    assert_eq!(code, Some(107));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_module_is_named() {
    let (failure, _) = unready("import x from './nope.js'; export default function () {}").await;
    assert_eq!(failure.reason, "ScriptFailed");
    assert!(failure.message.contains("./nope.js"), "{}", failure.message);
    assert!(failure.message.len() < 1200, "{}", failure.message.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_options_are_told() {
    let script = "export const options = { duration: 'soon' }; export default function () {}";
    let (failure, _) = unready(script).await;
    assert_eq!((failure.reason.as_str(), failure.exit_code), ("ScriptFailed", Some(104)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_while_vus_initialise_is_told() {
    // The first run of the init code is that of `k6 inspect`, the second that of `k6 run`; VUs come after both.
    let script = r#"
        export const options = { vus: 1, iterations: 1 };
        if (__VU > 0) { throw new Error("no such VU"); }
        export default function () {}
    "#;
    let (failure, code) = unready(script).await;
    assert_eq!((failure.reason.as_str(), code), ("ScriptFailed", Some(107)));
    assert!(failure.message.contains("no such VU"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_k6_does_not_have_is_told() {
    let script = "export default function () {}";
    let mut rig = Rig::start(script, |settings| settings.args.push("--out=nope".to_owned()));
    rig.until_phase(AgentPhase::Finished).await;
    let failure = failure(&rig);
    assert_eq!(failure.reason, "ScriptFailed");
    assert!(failure.message.contains("invalid output type 'nope'"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_argument_of_weirs_own_is_refused_with_a_remedy() {
    let script = "export default function () {}";
    let mut rig = Rig::start(script, |settings| settings.args.push("--paused".to_owned()));
    rig.until_phase(AgentPhase::Finished).await;
    let failure = failure(&rig);
    assert_eq!(failure.reason, "InvalidSpec");
    assert!(failure.message.contains("--paused cannot be set"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_instances_than_vus_are_refused() {
    let script = "export const options = { vus: 2, iterations: 2 }; export default function () {}";
    let mut rig = Rig::start(script, |settings| settings.instances = 3);
    rig.until_phase(AgentPhase::Finished).await;
    let failure = failure(&rig);
    assert_eq!(failure.reason, "InvalidSpec");
    let wanted = "spec.parallelism is 3 but the script has only 2 VUs";
    assert!(failure.message.starts_with(wanted), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_k6_is_told() {
    let mut rig = Rig::start("", |settings| settings.k6 = "/nowhere/k6".into());
    rig.until_phase(AgentPhase::Finished).await;
    let failure = failure(&rig);
    assert_eq!(failure.reason, "InvalidSpec");
    assert!(failure.message.contains("/nowhere/k6"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_by_the_script_is_told_at_once_and_made_exact_by_the_exit_code() {
    let script = r#"
        import exec from "k6/execution";
        export const options = { vus: 1, iterations: 5 };
        export default function () { exec.test.abort("enough"); }
    "#;
    let mut rig = Rig::start(script, |_| {});
    rig.until_phase(AgentPhase::Ready).await;
    rig.start_load().await;
    rig.until_phase(AgentPhase::Ended).await;
    assert_eq!(failure(&rig).reason, "Aborted");
    let ended = rig.finish().await;
    let failure = ended.report.failure.unwrap();
    assert_eq!((failure.reason.as_str(), failure.exit_code), ("Aborted", Some(108)));
    assert!(failure.message.contains("enough"), "{}", failure.message);
    assert_eq!((ended.report.k6_exit_code, ended.exit), (Some(108), Exit::HandedOver));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_marked_as_failed_by_its_script_is_told() {
    let script = r#"
        import exec from "k6/execution";
        export const options = { vus: 1, iterations: 2 };
        export default function () { exec.test.fail("wrong"); }
    "#;
    let mut rig = Rig::start(script, |_| {});
    rig.until_phase(AgentPhase::Ready).await;
    rig.start_load().await;
    rig.until_phase(AgentPhase::Ended).await;
    let ended = rig.finish().await;
    let failure = ended.report.failure.as_ref().unwrap();
    assert_eq!((failure.reason.as_str(), failure.exit_code), ("Aborted", Some(110)));
    assert_eq!(ended.of("iterations").len(), 2, "the load ran to its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_in_setup_is_answered_with_its_text() {
    let script = r#"
        export function setup() { throw new Error("no shop today"); }
        export default function () {}
        export function teardown() { throw new Error("nor a till"); }
    "#;
    let mut rig = Rig::start(script, |_| {});
    rig.until_phase(AgentPhase::Ready).await;
    rig.run_setup().await;
    rig.until("setup is answered", |rig| !rig.setups.is_empty()).await;
    let failure = rig.setups[0].failure.clone().unwrap();
    assert_eq!((failure.reason.as_str(), failure.exit_code), ("SetupFailed", Some(107)));
    assert!(failure.message.contains("no shop today"), "{}", failure.message);
    rig.stop().await;
    rig.until_phase(AgentPhase::Ended).await;
    rig.run_teardown().await;
    rig.until("teardown is answered", |rig| !rig.teardowns.is_empty()).await;
    let failure = rig.teardowns[0].failure.clone().unwrap();
    assert_eq!((failure.reason.as_str(), failure.exit_code), ("TeardownFailed", Some(107)));
    assert!(failure.message.contains("nor a till"), "{}", failure.message);
    let ended = rig.finish().await;
    assert_eq!((ended.report.failure, ended.exit), (None, Exit::HandedOver));
}

#[tokio::test(flavor = "multi_thread")]
async fn setup_that_takes_too_long_has_its_own_code() {
    let script = r#"
        import { sleep } from "k6";
        export const options = { setupTimeout: "200ms" };
        export function setup() { sleep(600); }
        export default function () {}
    "#;
    let mut rig = Rig::start(script, |_| {});
    rig.until_phase(AgentPhase::Ready).await;
    rig.run_setup().await;
    rig.until("setup is answered", |rig| !rig.setups.is_empty()).await;
    let failure = rig.setups[0].failure.clone().unwrap();
    assert_eq!((failure.reason.as_str(), failure.exit_code), ("SetupFailed", Some(100)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_load_and_leaves_teardown_possible() {
    let mut rig = Rig::start(ENDLESS, |_| {});
    rig.until_phase(AgentPhase::Ready).await;
    rig.start_load().await;
    rig.until_phase(AgentPhase::Running).await;
    rig.until("samples came", |rig| !rig.frames.is_empty()).await;
    rig.stop().await;
    rig.stop().await;
    rig.until_phase(AgentPhase::Ended).await;
    rig.run_teardown().await;
    rig.until("teardown ran", |rig| !rig.teardowns.is_empty()).await;
    assert!(rig.teardowns[0].ok);
    let ended = rig.finish().await;
    assert_eq!((ended.report.failure.as_ref(), ended.report.k6_exit_code), (None, Some(103)));
    assert!(
        ended.of("mine").iter().any(|sample| sample.value > 99.0),
        "teardown's sample is there"
    );
    assert_eq!(ended.exit, Exit::HandedOver);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_before_the_start_leaves_teardown_possible() {
    let mut rig = Rig::start(ENDLESS, |_| {});
    rig.until_phase(AgentPhase::Ready).await;
    rig.run_setup().await;
    rig.until("setup ran", |rig| !rig.setups.is_empty()).await;
    rig.stop().await;
    rig.until_phase(AgentPhase::Ended).await;
    rig.run_teardown().await;
    rig.until("teardown ran", |rig| !rig.teardowns.is_empty()).await;
    assert!(rig.teardowns[0].ok);
    let ended = rig.finish().await;
    assert_eq!((ended.report.failure.as_ref(), ended.report.started_unix_ns), (None, 0));
    assert_eq!(ended.of("iterations").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_during_setup_breaks_it_off() {
    let mut rig = Rig::start(ENDLESS, |settings| {
        settings.args.extend(["-e", "SLOW=1"].map(str::to_owned));
    });
    rig.until_phase(AgentPhase::Ready).await;
    rig.run_setup().await;
    rig.stop().await;
    rig.until("setup is answered", |rig| !rig.setups.is_empty()).await;
    assert!(!rig.setups[0].ok);
    rig.until_phase(AgentPhase::Ended).await;
    let ended = rig.finish().await;
    assert_eq!((ended.report.failure, ended.exit), (None, Exit::HandedOver));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_the_script_loads_ends_the_agents_part() {
    let mut rig =
        Rig::start("import { sleep } from 'k6'; export default function () {}", |settings| {
            // A k6 that never answers.
            let script = settings.work_dir.parent().unwrap().join("k6");
            std::fs::write(&script, "#!/bin/sh\nexec sleep 600\n").unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&script, mode).unwrap();
            settings.k6 = script;
        });
    rig.until("the agent greets", |rig| !rig.hellos.is_empty()).await;
    rig.stop().await;
    rig.until_phase(AgentPhase::Finished).await;
    let ended = rig.finish().await;
    assert_eq!((ended.report.failure, ended.report.k6_exit_code), (None, None));
    assert_eq!(ended.exit, Exit::HandedOver);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_k6_is_a_lost_runner_with_its_samples_kept() {
    let mut rig = Rig::start(ENDLESS, |_| {});
    rig.until_phase(AgentPhase::Ready).await;
    rig.start_load().await;
    rig.until("samples came", |rig| !rig.frames.is_empty()).await;
    kill_k6_of(&rig);
    rig.until_phase(AgentPhase::Finished).await;
    let failure = failure(&rig);
    assert_eq!((failure.reason.as_str(), failure.exit_code), ("RunnersLost", Some(137)));
    assert!(failure.message.contains("signal 9"), "{}", failure.message);
    rig.run_teardown().await;
    rig.until("teardown is answered", |rig| !rig.teardowns.is_empty()).await;
    assert!(!rig.teardowns[0].ok, "teardown cannot run where k6 is gone");
    let ended = rig.finish().await;
    assert_eq!(ended.samples.len() as u64, ended.report.emitted);
    assert_eq!(ended.exit, Exit::HandedOver);
}

/// Kills the k6 that runs this rig's bundle.
fn kill_k6_of(rig: &Rig) {
    let bundle = rig.dir.path().join("work").join("bundle.tar");
    let wanted = bundle.to_string_lossy();
    let found = std::fs::read_dir("/proc").unwrap().flatten().find(|entry| {
        let args = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        args.split(|byte| *byte == 0).any(|arg| arg == wanted.as_bytes())
    });
    let pid = found.expect("the k6 of this test").file_name().to_string_lossy().parse().unwrap();
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_to_stop_after_the_start_names_the_lost_runner_and_hands_over() {
    let mut rig = Rig::start(ENDLESS, |_| {});
    rig.until_phase(AgentPhase::Ready).await;
    rig.start_load().await;
    rig.until("samples came", |rig| !rig.frames.is_empty()).await;
    rig.shutdown.cancel();
    rig.until_phase(AgentPhase::Finished).await;
    assert_eq!(failure(&rig).reason, "RunnersLost");
    rig.until("all is acknowledged", |rig| rig.report.acked == rig.report.emitted).await;
    // Without any goodbye: the pod has no time to wait for one.
    assert_eq!(rig.agent.await.unwrap(), Exit::HandedOver);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_to_stop_before_the_start_lets_another_take_the_place() {
    let mut rig = Rig::start(ENDLESS, |_| {});
    rig.until_phase(AgentPhase::Ready).await;
    rig.shutdown.cancel();
    assert!(matches!(rig.agent.await.unwrap(), Exit::Failed(_)));
    assert_eq!(rig.report.failure, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_aggregator_the_agent_gives_up_and_leaves_no_k6() {
    let mut rig = Rig::start(ENDLESS, |settings| settings.orphan_ms = 1500);
    rig.until_phase(AgentPhase::Ready).await;
    rig.start_load().await;
    rig.until_phase(AgentPhase::Running).await;
    rig.cut();
    let Exit::Failed(reason) = rig.agent.await.unwrap() else { panic!("handed over to nobody") };
    assert_eq!(reason, "no aggregator to hand over to");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aggregator_that_has_ended_for_good_is_not_waited_for() {
    let mut rig = Rig::start(ENDLESS, |settings| settings.orphan_ms = i64::MAX);
    rig.until_phase(AgentPhase::Ready).await;
    rig.start_load().await;
    rig.until_phase(AgentPhase::Running).await;
    rig.forget();
    assert!(matches!(rig.agent.await.unwrap(), Exit::Failed(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_agent_ends_its_k6_and_is_content() {
    let mut rig = Rig::start(ENDLESS, |_| {});
    rig.until_phase(AgentPhase::Ready).await;
    rig.send(Message::Refused(Refused { message: "a second incarnation".to_owned() })).await;
    assert_eq!(rig.agent.await.unwrap(), Exit::HandedOver);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goodbye_in_the_middle_ends_everything() {
    let mut rig = Rig::start(ENDLESS, |_| {});
    rig.until_phase(AgentPhase::Ready).await;
    rig.start_load().await;
    rig.until_phase(AgentPhase::Running).await;
    rig.send(Message::Goodbye(Goodbye {})).await;
    assert_eq!(rig.agent.await.unwrap(), Exit::HandedOver);
}
