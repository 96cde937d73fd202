mod bundle;
mod properties;

use std::collections::BTreeMap;

use super::*;
use crate::{
    core::{
        agent::{events::Unbundled, report::Account},
        bundle::Bundle,
        k6::{
            exit::Exit,
            outlet::Outlet,
            rest::{Stage, Status},
        },
        ledger::threshold::ThresholdSpec,
        summary::settings::{Mode, Settings},
    },
    wire::session::{
        Finish, Goodbye, Refused, Report, RunSetup, RunSummary, RunTeardown, SendBundle, SetupData,
        Start, Stop, WantBundle, Welcome, to_aggregator::Message as ToAggregator,
    },
};

const ORPHAN_MS: i64 = 120_000;
const GRACE_MS: i64 = 25_000;

/// A machine, and the time it lives in.
struct Life {
    machine: Machine,
    now: Now,
}

fn config() -> Config {
    Config { orphan_ms: ORPHAN_MS, grace_ms: GRACE_MS, ..Config::plain(1, 2) }
}

/// A bundle of instance 1, with these options besides or instead of those of a test of 4 VUs and 10 s.
fn bundle(changes: &serde_json::Value) -> Bundle {
    let mut options = serde_json::json!({
        "maxVUs": 4, "totalDuration": "10s", "setupTimeout": "60s", "teardownTimeout": "30s",
    });
    for (name, value) in changes.as_object().unwrap() {
        options[name] = value.clone();
    }
    Bundle::new(b"archive".to_vec(), options.to_string().into_bytes()).unwrap()
}

fn bundled() -> Input {
    Input::Bundled(Ok(bundle(&serde_json::json!({}))))
}

fn exit(code: i32) -> Exit {
    Exit { code, signal: None, oom_killed: false, error: None }
}

fn version() -> Input {
    Input::Version(Ok(Version::parse("k6 v2.2.0")))
}

fn status(stage: Stage) -> Input {
    Input::Status(Some(Status { stage, vus: 3, vus_max: 4 }))
}

fn start() -> Input {
    Input::Message(FromAggregator::Start(Start {}))
}

fn stop() -> Input {
    Input::Message(FromAggregator::Stop(Stop { reason: "enough".to_owned() }))
}

fn run_setup() -> Input {
    Input::Message(FromAggregator::RunSetup(RunSetup {}))
}

fn setup_data() -> Input {
    Input::Message(FromAggregator::SetupData(SetupData { data: "{}".into() }))
}

fn run_teardown() -> Input {
    Input::Message(FromAggregator::RunTeardown(RunTeardown {}))
}

fn finish() -> Input {
    Input::Message(FromAggregator::Finish(Finish::default()))
}

fn goodbye() -> Input {
    Input::Message(FromAggregator::Goodbye(Goodbye {}))
}

impl Life {
    fn new() -> Self {
        let now = Now { ms: 0, unix_ns: 1_000, drained: true };
        Self { machine: Machine::new(config(), now), now }
    }

    /// A life up to the moment at which all VUs are initialised.
    fn ready() -> Self {
        let mut life = Self::new();
        life.says(Input::SessionUp);
        life.says(version());
        life.says(bundled());
        life.says(status(Stage::Paused));
        assert_eq!(life.machine.phase(), AgentPhase::Ready);
        life
    }

    fn running() -> Self {
        let mut life = Self::ready();
        assert_eq!(life.says(start()), [Action::Resume]);
        life.says(Input::Resumed(Ok(())));
        assert_eq!(life.machine.phase(), AgentPhase::Running);
        life
    }

    fn ended() -> Self {
        let mut life = Self::running();
        life.says(status(Stage::Ended));
        assert_eq!(life.machine.phase(), AgentPhase::Ended);
        life
    }

    /// What the machine wants done, polls and what it says once in each session aside.
    fn says(&mut self, input: Input) -> Vec<Action> {
        let mut actions = self.machine.handle(input, self.now);
        actions.retain(|action| {
            !matches!(
                action,
                Action::Poll | Action::KeepLedger { .. } | Action::Send(ToAggregator::Terms(_))
            )
        });
        actions
    }

    fn after(&mut self, ms: i64) -> Vec<Action> {
        self.now.ms += ms;
        self.now.unix_ns += ms * 1_000_000;
        self.says(Input::Tick)
    }

    fn report(&self) -> Report {
        self.machine.report(&Account::default())
    }

    fn reason(&self) -> Option<String> {
        self.report().failure.map(|failure| failure.reason)
    }
}

#[test]
fn a_life_goes_from_the_script_to_the_goodbye() {
    let mut life = Life::new();
    life.says(Input::SessionUp);
    assert!(life.says(bundled()).is_empty(), "k6 waits for its version");
    let wanted = BTreeMap::from([
        ("instance_id".to_owned(), "1".to_owned()),
        ("testid".to_owned(), "r-1".to_owned()),
    ]);
    let actions = life.machine.handle(version(), life.now);
    let added = actions.iter().find_map(|action| match action {
        Action::KeepLedger { added, .. } => Some(added),
        _ => None,
    });
    assert_eq!(added, Some(&wanted), "nobody else sees them");
    let started = Action::StartK6 { tags: BTreeMap::new(), outlet: Outlet::Stdout };
    assert!(actions.contains(&started), "{actions:?}");
    assert_eq!(life.report().requirements, None, "requirements come with READY");
    life.says(status(Stage::Initialising));
    assert_eq!(life.machine.phase(), AgentPhase::Preparing);
    life.says(status(Stage::Paused));
    assert_eq!(life.report().requirements.unwrap().max_vus, 4);

    assert_eq!(life.says(run_setup()), [Action::RunSetup { timeout_ms: 70_000 }]);
    let data = Bytes::from_static(b"{\"a\":1}");
    let answer = life.says(Input::SetupRan(Ok(Some(data.clone()))));
    let wanted = Outcome { ok: true, data: Some(data), failure: None };
    assert_eq!(answer, [Action::Send(ToAggregator::Setup(wanted))]);
    assert_eq!(life.says(setup_data()), [Action::SetSetupData("{}".into())]);
    assert!(life.says(start()).is_empty(), "the start waits for the data");
    assert_eq!(life.says(Input::SetupDataSet(Ok(()))), [Action::Resume]);
    assert_eq!(life.machine.phase(), AgentPhase::Starting);
    assert_eq!(life.report().started_unix_ns, 1_000);
    life.says(Input::Resumed(Ok(())));
    life.says(status(Stage::Running));
    assert_eq!((life.machine.phase(), life.report().vus), (AgentPhase::Running, 3));
    life.after(10_000);
    life.says(status(Stage::Ended));
    assert_eq!(life.machine.phase(), AgentPhase::Ended);
    assert_eq!(life.report().ended_unix_ns, 10_000_001_000);

    assert_eq!(life.says(run_teardown()), [Action::RunTeardown { timeout_ms: 40_000 }]);
    assert!(life.says(finish()).is_empty(), "k6 stays for its teardown");
    let actions = life.says(Input::TeardownRan(Ok(())));
    assert_eq!(actions.last(), Some(&Action::Push(Push::Interrupt)));
    assert_eq!(life.says(Input::Exited(exit(0))), [Action::CloseSamples]);
    assert_eq!(life.machine.phase(), AgentPhase::Ended, "samples are still read");
    assert_eq!(life.report().k6_exit_code, None);
    life.says(Input::SamplesEnded);
    assert_eq!(life.machine.phase(), AgentPhase::Finished);
    assert_eq!((life.report().k6_exit_code, life.report().failure), (Some(0), None));
    assert_eq!(life.says(goodbye()), [Action::Leave(Leave::HandedOver)]);
}

#[test]
fn k6_is_asked_less_often_the_longer_its_load_runs() {
    let mut life = Life::running();
    for (so_far_ms, wait_ms) in [(0, 20), (2_000, 40), (60_000, 100)] {
        life.now.ms = so_far_ms;
        life.says(status(Stage::Running));
        assert_eq!(life.machine.wake_ms(), so_far_ms + wait_ms);
        let asked = life.machine.handle(Input::Tick, Now { ms: so_far_ms + wait_ms, ..life.now });
        assert!(asked.contains(&Action::Poll), "after {so_far_ms} ms: {asked:?}");
    }
}

#[test]
fn a_start_that_comes_early_is_kept() {
    let mut life = Life::new();
    life.says(start());
    life.says(version());
    life.says(bundled());
    assert_eq!(life.says(status(Stage::Paused)), [Action::Resume]);
    assert!(life.says(start()).is_empty(), "a second start changes nothing");
}

#[test]
fn an_answer_is_said_again_in_a_new_session_and_when_asked_again() {
    let mut life = Life::ready();
    life.says(run_setup());
    let answer = life.says(Input::SetupRan(Ok(None)));
    assert_eq!(answer.len(), 1);
    assert_eq!(life.says(run_setup()), answer);
    life.says(Input::SessionDown);
    assert_eq!(life.says(Input::SessionUp), answer);
    let hello = life.machine.hello(&Account::default());
    assert_eq!(hello.setup_data, Some(Bytes::new()), "setup ran, and returned nothing");
}

#[test]
fn setup_data_that_no_message_can_carry_is_a_failure_of_setup() {
    let mut life = Life::ready();
    life.says(run_setup());
    let answer = life.says(Input::SetupRan(Ok(Some(vec![b'1'; 5 << 20].into()))));
    let [Action::Send(ToAggregator::Setup(outcome))] = &answer[..] else { panic!("{answer:?}") };
    assert_eq!(outcome.failure.as_ref().unwrap().reason, "SetupFailed");
    assert_eq!(life.machine.hello(&Account::default()).setup_data, None);
}

#[test]
fn a_stop_has_its_way_at_every_stage() {
    let mut life = Life::new();
    assert_eq!(life.says(stop()), [Action::CloseSamples], "k6 is never started");
    assert!(life.says(version()).is_empty());
    assert!(life.says(bundled()).is_empty());
    life.says(Input::SamplesEnded);
    assert_eq!((life.machine.phase(), life.reason()), (AgentPhase::Finished, None));

    let mut life = Life::new();
    life.says(version());
    life.says(bundled());
    let wanted = [Action::Push(Push::Interrupt)];
    assert_eq!(life.says(stop()), wanted, "a k6 that initialises does not linger");
    assert!(life.says(stop()).is_empty());
    life.says(Input::Exited(exit(105)));
    assert_eq!((life.machine.phase(), life.reason()), (AgentPhase::Ended, None));

    let mut life = Life::ready();
    assert_eq!(life.says(stop()), [Action::Push(Push::Rest)]);
    assert!(life.says(start()).is_empty(), "nothing starts after a stop");
    life.says(status(Stage::Interrupted));
    assert_eq!((life.machine.phase(), life.reason()), (AgentPhase::Ended, None));

    let mut life = Life::ready();
    life.says(run_setup());
    assert_eq!(life.says(stop()), [Action::CancelSetup, Action::Push(Push::Rest)]);
    let answer = life.says(Input::SetupRan(Err("broken off".to_owned())));
    let [Action::Send(ToAggregator::Setup(outcome))] = &answer[..] else { panic!("{answer:?}") };
    assert_eq!(outcome.failure.as_ref().unwrap().reason, "Stopped");

    let mut life = Life::running();
    assert_eq!(life.says(stop()), [Action::Push(Push::Rest)]);
    life.says(status(Stage::Interrupted));
    life.says(finish());
    life.says(Input::Exited(exit(103)));
    life.says(Input::SamplesEnded);
    assert_eq!((life.machine.phase(), life.reason()), (AgentPhase::Finished, None));

    let mut life = Life::ended();
    assert!(life.says(stop()).is_empty());
}

#[test]
fn a_k6_that_does_not_stop_is_pushed_harder() {
    let mut life = Life::running();
    life.says(stop());
    assert_eq!(life.after(30_000), [Action::Push(Push::Interrupt)]);
    assert_eq!(life.after(60_000), [Action::Push(Push::Interrupt)]);
    assert_eq!(life.after(5_000), [Action::Push(Push::Kill)]);
    life.says(Input::Exited(Exit { code: 137, signal: Some(9), oom_killed: false, error: None }));
    assert_eq!(life.reason(), None, "it was Weir that killed it");
}

#[test]
fn a_load_past_its_longest_time_is_stopped() {
    let mut life = Life::running();
    assert!(life.after(69_999).is_empty());
    assert_eq!(life.after(1), [Action::Push(Push::Rest)]);
    assert_eq!(life.reason().unwrap(), "DeadlineExceeded");
}

#[test]
fn an_abort_is_told_at_once_and_made_exact_by_the_exit_code() {
    let mut life = Life::running();
    life.says(status(Stage::Interrupted));
    assert_eq!(
        (life.machine.phase(), life.reason().unwrap()),
        (AgentPhase::Ended, "Aborted".into())
    );
    life.says(finish());
    let error = Some("Error: boom".to_owned());
    life.says(Input::Exited(Exit { code: 107, signal: None, oom_killed: false, error }));
    let failure = life.report().failure.unwrap();
    assert!(!failure.provisional);
    assert_eq!((failure.reason.as_str(), failure.exit_code), ("ScriptFailed", Some(107)));
    assert!(failure.message.contains("Error: boom"));
}

#[test]
fn the_first_failure_stays() {
    let mut life = Life::running();
    life.says(Input::SamplesLost("the spool is full".to_owned()));
    life.says(Input::Exited(exit(107)));
    assert_eq!(life.reason().unwrap(), "OutputFailed");
}

#[test]
fn a_taken_port_is_tried_again_a_bounded_number_of_times() {
    let mut life = Life::new();
    life.says(version());
    let started = |actions: &[Action]| actions.iter().any(|a| matches!(a, Action::StartK6 { .. }));
    assert!(started(&life.says(bundled())));
    for _ in 0..3 {
        assert!(started(&life.says(Input::Exited(exit(106)))));
    }
    assert_eq!(life.says(Input::Exited(exit(106))), [Action::CloseSamples]);
    assert_eq!(life.reason().unwrap(), "ScriptFailed");
}

#[test]
fn what_cannot_run_is_refused_before_k6_starts() {
    let refused = |input: Input| {
        let mut life = Life::new();
        life.says(version());
        assert_eq!(life.says(input), [Action::CloseSamples]);
        life.says(Input::SamplesEnded);
        assert_eq!(life.machine.phase(), AgentPhase::Finished);
        life.report().failure.unwrap()
    };
    let with = |changes| refused(Input::Bundled(Ok(bundle(&changes))));
    assert_eq!(with(serde_json::json!({"executionSegment": "0:1/2"})).reason, "InvalidSpec");
    let few = with(serde_json::json!({"maxVUs": 1}));
    assert!(few.message.starts_with("spec.parallelism is 2 but the script has only 1 VUs"));
    assert_eq!(with(serde_json::json!({"tags": {"a=b": "c"}})).reason, "InvalidSpec");
    let failed = refused(Input::Bundled(Err(Unbundled::Failed(exit(107)))));
    assert_eq!((failed.reason.as_str(), failed.exit_code), ("ScriptFailed", Some(107)));
    let broken = Unbundled::Broken("no options".to_owned());
    assert_eq!(refused(Input::Bundled(Err(broken))).reason, "ScriptFailed");
    let invalid = Unbundled::InvalidSpec("--paused".to_owned());
    assert_eq!(refused(Input::Bundled(Err(invalid))).reason, "InvalidSpec");
    assert_eq!(refused(Input::Version(Err("no k6".to_owned()))).reason, "InvalidSpec");
}

#[test]
fn without_a_session_the_agent_gives_up_after_its_time() {
    let mut life = Life::running();
    life.says(Input::SessionDown);
    assert!(life.after(69_000).is_empty());
    life.says(Input::SessionUp);
    life.says(status(Stage::Ended));
    life.says(Input::SessionDown);
    assert!(life.after(ORPHAN_MS - 1).is_empty());
    assert_eq!(life.after(1), [Action::Push(Push::Interrupt)]);
    life.says(Input::Exited(exit(0)));
    let actions = life.says(Input::SamplesEnded);
    assert!(matches!(&actions[..], [Action::Leave(Leave::Failed(_))]), "{actions:?}");
}

#[test]
fn an_orphan_whose_k6_does_not_end_leaves_all_the_same() {
    let mut life = Life::running();
    life.says(Input::SessionDown);
    life.after(ORPHAN_MS);
    let actions = life.after(10_000);
    assert!(matches!(&actions[..], [Action::Push(Push::Kill), Action::Leave(Leave::Failed(_))]));
}

#[test]
fn an_orphan_that_has_nothing_left_to_hand_over_is_content() {
    let mut life = Life::ended();
    life.says(finish());
    life.says(Input::Exited(exit(0)));
    life.says(Input::SamplesEnded);
    life.says(Input::SessionDown);
    assert_eq!(life.after(ORPHAN_MS), [Action::Leave(Leave::HandedOver)]);
}

#[test]
fn when_the_run_is_over_an_instance_that_never_began_is_content() {
    let mut life = Life::ready();
    let wanted = [Action::Push(Push::Kill), Action::Leave(Leave::HandedOver)];
    assert_eq!(life.says(Input::AggregatorGone), wanted);

    let mut life = Life::running();
    assert_eq!(life.says(Input::AggregatorGone), [Action::Push(Push::Interrupt)]);
    life.says(Input::Exited(exit(105)));
    let actions = life.says(Input::SamplesEnded);
    assert!(matches!(&actions[..], [Action::Leave(Leave::Failed(_))]), "{actions:?}");
}

#[test]
fn an_order_to_stop_hands_over_within_the_grace() {
    let mut life = Life::running();
    assert_eq!(life.says(Input::Terminate), [Action::Push(Push::Rest)]);
    assert_eq!(life.reason().unwrap(), "RunnersLost");
    assert_eq!(life.says(status(Stage::Interrupted)), [Action::Push(Push::Interrupt)]);
    life.says(Input::Exited(exit(103)));
    life.now.drained = false;
    life.says(Input::SamplesEnded);
    assert!(life.after(500).is_empty(), "samples are not acknowledged yet");
    life.now.drained = true;
    assert_eq!(life.says(Input::Tick), [Action::Leave(Leave::HandedOver)]);

    let mut life = Life::running();
    life.says(Input::Terminate);
    let actions = life.after(GRACE_MS);
    assert!(matches!(&actions[..], [Action::Push(Push::Kill), Action::Leave(Leave::Failed(_))]));
}

#[test]
fn an_order_to_stop_before_the_start_is_no_failure_of_the_run() {
    let mut life = Life::ready();
    let actions = life.says(Input::Terminate);
    assert!(matches!(&actions[..], [Action::Push(Push::Kill), Action::Leave(Leave::Failed(_))]));
    assert_eq!(life.reason(), None);
}

#[test]
fn a_k6_that_dies_before_the_start_makes_room_for_another_agent() {
    let mut life = Life::ready();
    life.says(Input::Exited(Exit { code: 137, signal: Some(9), oom_killed: false, error: None }));
    life.says(Input::SamplesEnded);
    assert_eq!(
        (life.machine.phase(), life.reason().unwrap()),
        (AgentPhase::Finished, "RunnersLost".into())
    );
    assert!(life.after(499).is_empty(), "the report has time to arrive");
    let actions = life.after(1);
    assert!(matches!(&actions[..], [Action::Leave(Leave::Failed(_))]), "{actions:?}");

    let mut life = Life::ready();
    life.says(Input::Exited(exit(107)));
    life.says(Input::SamplesEnded);
    assert!(life.after(500).is_empty(), "a bad script is bad for every agent");
}

#[test]
fn a_refused_agent_leaves_content() {
    let mut life = Life::ready();
    let refused = Input::Message(FromAggregator::Refused(Refused { message: String::new() }));
    let wanted = [Action::Push(Push::Kill), Action::Leave(Leave::HandedOver)];
    assert_eq!(life.says(refused), wanted);
}
