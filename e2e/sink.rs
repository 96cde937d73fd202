//! The whole aggregator against servers that are not ours to bend: the strict stand-in (environment `WEIR_STANDIN`:
//! its binary) and moto (`WEIR_MOTO`: the stand-in's `checks/moto_server`). Both want any AWS keys in the environment.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking what went wrong"
)]

mod server;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use server::Server;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use weir::{
    aggregator::{engine, meters::Meters, settings::Settings, writer},
    api::v1alpha1::{
        Dimensions, Output, Reason, RunnerLoss, Timestream, TimestreamCreate, TimestreamMode,
    },
    core::{
        dimensions::Kept,
        ledger::view::{Contains, Kind},
        plan::{RunPlan, RunRef},
        replicas::share,
        samples::{
            decode::{Definition, Pairs, Point},
            frame::{FrameBuilder, Limits},
            framer::Framer,
            rollup::{
                samples_in,
                spec::{RollupSpec, Wanted},
            },
        },
    },
    io::link::{AggregatorEnd, Dialer},
    output::output,
    wire::{
        PROTOCOL,
        result::RunResult,
        session::{
            Ack, AgentPhase, Frame, Hello, Ledger, OutputCounts, Report, Requirements, Series,
            ToAggregator, to_agent::Message as Down, to_aggregator::Message as Up,
        },
    },
};

const INSTANCES: u32 = 4;
const FRAMES: u64 = 6;
const SAMPLES: u32 = 420;
const DEADLINE: Duration = Duration::from_mins(2);

/// What the server has stored.
fn stored_rows(server: &Server) -> BTreeSet<Row> {
    let text = server.ask("GET", "/rows", "");
    let rows: Vec<Row> = text.lines().map(Row::read).collect();
    let set: BTreeSet<Row> = rows.iter().cloned().collect();
    assert_eq!(set.len(), rows.len(), "no row twice");
    set
}

/// A row, the value as its bits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    dimensions: BTreeMap<String, String>,
    measure: String,
    value: u64,
    time_ns: i64,
}

impl Row {
    fn read(line: &str) -> Self {
        let row: Value = serde_json::from_str(line).unwrap();
        // The JSON parser may be off by the last bit; the text is not.
        let (_, value) = line.split_once("\"value\":").unwrap();
        let text = value.split([',', '}']).next().unwrap().trim().trim_matches('"');
        let value: f64 = text.parse().unwrap();
        Self {
            dimensions: serde_json::from_value(row["dimensions"].clone()).unwrap(),
            measure: row["measure_name"].as_str().unwrap().to_owned(),
            value: f64::to_bits(value),
            time_ns: row["time_ns"].as_i64().unwrap(),
        }
    }
}

fn now_ns() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// Frames of one instance, and the rows they must become.
fn frames(instance_id: u32) -> (Vec<Frame>, BTreeSet<Row>) {
    let tags: [&[(&str, &str)]; 4] = [
        &[
            ("method", "GET"),
            ("status", "200"),
            ("url", "http://shop/?q=ä"),
            ("vu", "1"),
            ("iter", "0"),
        ],
        &[("method", "GET"), ("status", "500"), ("group", "::checkout"), ("error", "")],
        &[("time", "renamed"), ("ts_x", "renamed too")],
        &[],
    ];
    let metrics = ["http_req_duration", "my_counter", "my_gauge", "my_rate"];
    let mut frames = Vec::new();
    let mut rows = BTreeSet::new();
    for seq in 1..=FRAMES {
        let mut strings: Vec<String> = metrics.map(str::to_owned).into();
        let mut index = |text: &str| {
            strings.push(text.to_owned());
            u32::try_from(strings.len() - 1).unwrap()
        };
        let id = instance_id.to_string();
        let series: Vec<Series> = (0..16u32)
            .map(|at| {
                let own = tags[usize::try_from(at / 4).unwrap()];
                let all = own.iter().copied().chain([("instance_id", id.as_str())]);
                let dimensions =
                    all.flat_map(|(name, value)| [index(name), index(value)]).collect();
                Series { metric: at % 4, dimensions }
            })
            .collect();
        let base_time_ns = now_ns() - 60_000_000_000;
        let mut frame = Frame { seq, strings, series, base_time_ns, ..Frame::default() };
        for at in 0..SAMPLES {
            let value = f64::from(at) / 7.0 + f64::from(instance_id);
            let time_ns = base_time_ns + 1001 * i64::from(at);
            frame.sample_series.push(at % 16);
            frame.time_delta_ns.push(if at == 0 { 0 } else { 1001 });
            frame.value.push(value);
            let mut dimensions: BTreeMap<String, String> = tags
                [usize::try_from(at % 16 / 4).unwrap()]
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| match *name {
                "time" | "ts_x" => (format!("k6_{name}"), (*value).to_owned()),
                _ => ((*name).to_owned(), (*value).to_owned()),
            })
            .collect();
            dimensions.insert("instance_id".to_owned(), id.clone());
            let measure = metrics[usize::try_from(at % 4).unwrap()].to_owned();
            rows.insert(Row { dimensions, measure, value: value.to_bits(), time_ns });
        }
        frames.push(frame);
    }
    (frames, rows)
}

/// An agent without k6: it sends what it is given once the run starts.
async fn agent(
    dialer: Dialer,
    writer: Option<(u32, Dialer)>,
    instance_id: u32,
    frames: Vec<Frame>,
) {
    let mut end = dialer.dial().await.unwrap();
    let (to_writer, mut acks) = ship(writer, instance_id);
    let emitted: u64 = frames.iter().map(samples_in).sum();
    let sizes: BTreeMap<u64, u64> =
        frames.iter().map(|frame| (frame.seq, samples_in(frame))).collect();
    let mut report = Report {
        phase: AgentPhase::Ready.into(),
        requirements: Some(Requirements {
            max_vus: 100,
            total_duration_ms: 60_000,
            no_setup: true,
            no_teardown: true,
            ..Requirements::default()
        }),
        ..Report::default()
    };
    let hello = Up::Hello(Hello {
        protocol: PROTOCOL,
        run: "ns/run/uid".to_owned(),
        instance_id,
        incarnation: "i".to_owned(),
        report: Some(report.clone()),
        ..Hello::default()
    });
    end.tx.send(ToAggregator { message: Some(hello) }).await.unwrap();
    loop {
        let message = tokio::select! {
            message = end.rx.recv() => message.and_then(|message| message.message),
            Some(ack) = acks.recv() => Some(Down::Ack(ack)),
        };
        let Some(message) = message else { return };
        match message {
            Down::Start(_) => {
                report.emitted = emitted;
                report.started_unix_ns = now_ns();
                report.acked_to = frames.last().map_or(0, |frame| frame.seq);
                report.acked_but = sizes.keys().copied().collect();
                for frame in &frames {
                    if let Some(to_writer) = &to_writer {
                        to_writer.send(frame.clone()).unwrap();
                        continue;
                    }
                    let frame = Up::Frame(frame.clone());
                    end.tx.send(ToAggregator { message: Some(frame) }).await.unwrap();
                }
                report.phase = AgentPhase::Ended.into();
            }
            Down::Stop(_) => report.phase = report.phase.max(AgentPhase::Ended.into()),
            Down::Finish(_) => {
                report.phase = AgentPhase::Finished.into();
                let last = Ledger { seq: 1, parts: 1, last: true, ..Ledger::default() };
                end.tx.send(ToAggregator { message: Some(Up::Ledger(last)) }).await.unwrap();
            }
            Down::Ack(ack) => {
                report.acked += sizes[&ack.seq];
                report.acked_but.retain(|seq| *seq != ack.seq);
                add(&mut report.outputs, ack.outputs);
            }
            Down::Goodbye(_) => return,
            Down::Refused(refused) => panic!("refused: {}", refused.message),
            Down::Welcome(_)
            | Down::RunSetup(_)
            | Down::SetupData(_)
            | Down::RunTeardown(_)
            | Down::RunSummary(_)
            | Down::Bundle(_)
            | Down::SendBundle(_) => {}
        }
        let report = Up::Report(report.clone());
        drop(end.tx.send(ToAggregator { message: Some(report) }).await);
    }
}

/// What it sends to the writer of its samples, which it dials again as often as it must.
fn ship(
    writer: Option<(u32, Dialer)>,
    instance_id: u32,
) -> (Option<mpsc::UnboundedSender<Frame>>, mpsc::Receiver<Ack>) {
    let (acked, acks) = mpsc::channel(64);
    let Some((replica, dialer)) = writer else { return (None, acks) };
    let (frames, mut new) = mpsc::unbounded_channel::<Frame>();
    tokio::spawn(async move {
        let mut waiting: BTreeMap<u64, Frame> = BTreeMap::new();
        let mut report = Report::default();
        loop {
            let Ok(mut end) = dialer.dial().await else { return };
            let hello = Up::Hello(Hello {
                protocol: PROTOCOL,
                run: "ns/run/uid".to_owned(),
                instance_id,
                incarnation: "i".to_owned(),
                report: Some(report.clone()),
                replica,
                ..Hello::default()
            });
            let again = waiting.values().cloned().map(Up::Frame);
            for message in std::iter::once(hello).chain(again).collect::<Vec<_>>() {
                drop(end.tx.send(ToAggregator { message: Some(message) }).await);
            }
            loop {
                tokio::select! {
                    Some(frame) = new.recv() => {
                        report.acked_to = frame.seq;
                        report.acked_but.push(frame.seq);
                        waiting.insert(frame.seq, frame.clone());
                        let message = ToAggregator { message: Some(Up::Frame(frame)) };
                        drop(end.tx.send(message).await);
                    }
                    message = end.rx.recv() => match message.and_then(|message| message.message) {
                        Some(Down::Ack(ack)) => {
                            if let Some(frame) = waiting.remove(&ack.seq) {
                                report.acked += samples_in(&frame);
                                report.acked_but.retain(|seq| *seq != ack.seq);
                                add(&mut report.outputs, ack.outputs.clone());
                                drop(acked.send(ack).await);
                            }
                        }
                        Some(Down::Refused(refused)) => panic!("refused: {}", refused.message),
                        Some(_) => {}
                        None => break,
                    },
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    (Some(frames), acks)
}

fn add(to: &mut Vec<OutputCounts>, counts: Vec<OutputCounts>) {
    for counts in counts {
        match to.iter_mut().find(|own| own.name == counts.name) {
            None => to.push(counts),
            Some(own) => {
                own.stored += counts.stored;
                for (reason, count) in counts.rejected {
                    *own.rejected.entry(reason).or_default() += count;
                }
            }
        }
    }
}

fn output(endpoint: &str) -> Timestream {
    Timestream {
        region: Some("us-east-1".to_owned()),
        database_name: "loadtests".to_owned(),
        table_name: "samples".to_owned(),
        endpoint_url: Some(endpoint.to_owned()),
        max_concurrent_writes: 8,
        linger_milliseconds: 100,
        ..Timestream::default()
    }
}

async fn run(timestream: Timestream, frames: Vec<Vec<Frame>>) -> RunResult {
    run_with(1, timestream, frames).await
}

/// A run whose aggregator has so many replicas, of which the first writer is killed and made anew in the middle.
async fn run_with(replicas: u32, timestream: Timestream, frames: Vec<Vec<Frame>>) -> RunResult {
    let plan = RunPlan {
        run: RunRef { namespace: "ns".into(), name: "run".into(), uid: "uid".into() },
        instances: INSTANCES,
        created_unix_ms: now_ns() / 1_000_000,
        ready_ms: 30_000,
        drain_ms: 90_000,
        runner_loss: RunnerLoss::default(),
        outputs: vec![Output { timestream: Some(timestream), ..Output::default() }],
        replicas,
    };
    let (sessions_tx, sessions) = mpsc::channel(8);
    let (_control, control) = mpsc::channel(8);
    let (publish, mut results) = watch::channel(RunResult::default());
    let leader = Dialer::Local(sessions_tx.clone());
    let posts: Vec<Post> =
        (1..replicas).map(|replica| Post::new(replica, &plan, &leader)).collect();
    let names: Vec<Dialer> = posts.iter().map(|post| post.name.clone()).collect();
    let run = tokio::spawn(engine::run(
        Settings::local(plan.clone()),
        sessions,
        control,
        publish,
        CancellationToken::new(),
    ));
    let agents: Vec<_> = (1..=INSTANCES)
        .zip(frames)
        .map(|(id, frames)| {
            let writer = share::writer_of(id, &names).map(|(at, name)| (at, name.clone()));
            tokio::spawn(agent(Dialer::Local(sessions_tx.clone()), writer, id, frames))
        })
        .collect();
    if let Some(first) = posts.first() {
        let has_begun = |r: &RunResult| r.outputs.first().is_some_and(|o| o.stored > 0);
        drop(tokio::time::timeout(DEADLINE, results.wait_for(has_begun)).await);
        first.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        first.start(&plan, &leader);
    }
    let result = tokio::time::timeout(DEADLINE, run).await.expect("the run ends").unwrap();
    for agent in agents {
        agent.abort();
    }
    result
}

/// A writer under a name that outlives it.
struct Post {
    replica: u32,
    name: Dialer,
    to: watch::Sender<Option<mpsc::Sender<AggregatorEnd>>>,
    life: watch::Sender<CancellationToken>,
}

impl Post {
    fn new(replica: u32, plan: &RunPlan, leader: &Dialer) -> Self {
        let (name, mut dialled) = mpsc::channel::<AggregatorEnd>(8);
        let (to, now) = watch::channel::<Option<mpsc::Sender<AggregatorEnd>>>(None);
        tokio::spawn(async move {
            while let Some(end) = dialled.recv().await {
                let to = now.borrow().clone();
                if let Some(to) = to {
                    drop(to.send(end).await);
                }
            }
        });
        let life = watch::Sender::new(CancellationToken::new());
        let post = Self { replica, name: Dialer::Local(name), to, life };
        post.start(plan, leader);
        post
    }

    fn start(&self, plan: &RunPlan, leader: &Dialer) {
        let (sessions_tx, sessions) = mpsc::channel(8);
        let settings = writer::Settings {
            plan: plan.clone(),
            replica: self.replica,
            outputs: output::open(&plan.outputs),
            meters: Arc::new(Meters::default()),
            orphan_ms: 60_000,
        };
        let life = CancellationToken::new();
        tokio::spawn(writer::run(settings, sessions, leader.clone(), life.clone()));
        self.to.send_replace(Some(sessions_tx));
        self.life.send_replace(life);
    }

    fn kill(&self) {
        self.to.send_replace(None);
        self.life.borrow().cancel();
    }
}

fn everyone() -> (Vec<Vec<Frame>>, BTreeSet<Row>) {
    let (frames, rows): (Vec<_>, Vec<_>) = (1..=INSTANCES).map(frames).unzip();
    (frames, rows.into_iter().flatten().collect())
}

fn verify_whole(server: &Server, result: &RunResult, rows: &BTreeSet<Row>) {
    assert_eq!(
        result.outcome.as_ref().unwrap().reason,
        Reason::ThresholdsMet,
        "{}",
        result.message
    );
    let output = &result.outputs[0];
    let count = u64::from(INSTANCES) * FRAMES * u64::from(SAMPLES);
    assert_eq!((output.emitted, output.stored, output.rejected.len()), (count, count, 0));
    let stored = stored_rows(server);
    assert_eq!(stored.len(), rows.len());
    if let Some(missing) = rows.difference(&stored).next() {
        let near = stored.iter().find(|row| row.time_ns == missing.time_ns);
        panic!("not as it was emitted: {missing:?}, but {near:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_exactly_what_was_emitted() {
    let server = Server::standin(&["--table", "loadtests.samples"]);
    let (frames, rows) = everyone();
    let result = run(output(&server.endpoint()), frames).await;
    verify_whole(&server, &result, &rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_troubled_server_costs_time_but_no_row() {
    let server = Server::standin(&[
        "--table",
        "loadtests.samples",
        "--throttle-percent",
        "30",
        "--fail-percent",
        "10",
        "--cut-percent",
        "5",
        "--cut-after-apply-percent",
        "5",
        "--latency-ms",
        "5",
    ]);
    let (frames, rows) = everyone();
    let result = run(output(&server.endpoint()), frames).await;
    verify_whole(&server, &result, &rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_instances_and_one_that_is_killed_costs_no_row() {
    let server = Server::standin(&[
        "--table",
        "loadtests.samples",
        "--throttle-percent",
        "30",
        "--fail-percent",
        "10",
        "--cut-after-apply-percent",
        "5",
        "--latency-ms",
        "20",
    ]);
    let (frames, rows) = everyone();
    let result = run_with(3, output(&server.endpoint()), frames).await;
    verify_whole(&server, &result, &rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_for_a_while_costs_time_but_no_row() {
    let server = Server::standin(&["--table", "loadtests.samples"]);
    let (frames, rows) = everyone();
    let output = output(&server.endpoint());
    let down = async {
        while server.ask("GET", "/stats", "").contains("\"records_stored\":0") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.ask("PUT", "/control/faults", r#"{"down_ms": 4000}"#);
    };
    let (result, ()) = tokio::join!(run(output, frames), down);
    verify_whole(&server, &result, &rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_record_costs_itself_alone_and_is_counted_by_its_reason() {
    let server = Server::standin(&["--table", "loadtests.samples"]);
    let (mut frames, rows) = everyone();
    let own = |value: f64, seconds: i64, seq: u64| Frame {
        seq,
        strings: vec!["my_gauge".to_owned(), "instance_id".to_owned(), "1".to_owned()],
        series: vec![Series { metric: 0, dimensions: vec![1, 2] }],
        base_time_ns: now_ns() / 1_000_000_000 * 1_000_000_000 + seconds * 1_000_000_000,
        sample_series: vec![0],
        time_delta_ns: vec![0],
        value: vec![value],
        ..Frame::default()
    };
    let base = own(0.0, -300, 0).base_time_ns;
    let bad = [
        own(1.0, -7 * 3600, FRAMES + 1),
        own(2.0, 3600, FRAMES + 2),
        own(f64::NAN, 0, FRAMES + 3),
        own(f64::NEG_INFINITY, 0, FRAMES + 4),
        Frame { base_time_ns: base, ..own(5.0, 0, FRAMES + 5) },
        Frame { base_time_ns: base, ..own(6.0, 0, FRAMES + 6) },
    ];
    frames[0].extend(bad);
    let result = run(output(&server.endpoint()), frames).await;
    assert_eq!(
        result.outcome.as_ref().unwrap().reason,
        Reason::ThresholdsMet,
        "{}",
        result.message
    );
    let output = &result.outputs[0];
    let good = u64::from(INSTANCES) * FRAMES * u64::from(SAMPLES);
    assert_eq!((output.emitted, output.stored), (good + 6, good + 1));
    let rejected: Vec<(&str, u64)> =
        output.rejected.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    assert_eq!(
        rejected,
        [("NotFinite", 2), ("TooFarInFuture", 1), ("TooOld", 1), ("VersionConflict", 1)]
    );
    let stored = stored_rows(&server);
    assert_eq!(stored.len() as u64, good + 1);
    assert!(rows.is_subset(&stored));
}

/// Frames of one instance as its agent makes them for outputs that leave out `dimensions`: of every ten samples, all
/// would be one row without the tags that tell them apart.
fn alike(instance_id: u32, dimensions: &Dimensions) -> Vec<Frame> {
    let kept = Kept::of(Some(dimensions));
    let limits = Limits { samples_max: usize::try_from(SAMPLES).unwrap(), ..Limits::default() };
    let mut builder = FrameBuilder::keeping(instance_id, limits, [kept]);
    let began_ns = now_ns() - 60_000_000_000;
    let tag = |name, value: u32| (Cow::Borrowed(name), Cow::Owned(value.to_string()));
    let mut frames = Vec::new();
    for at in 0..SAMPLES * u32::try_from(FRAMES).unwrap() {
        let point = Point {
            metric: Cow::Borrowed("http_req_duration"),
            time_ns: began_ns + 20 * i64::from(at / 10),
            value: f64::from(at % 4),
            tags: Pairs(vec![tag("status", 200), tag("url", at % 10 / 5)]),
            metadata: Pairs(vec![tag("vu", at % 5), tag("iter", at / 10)]),
        };
        frames.extend(builder.push(&point, 0).map(|closed| Arc::unwrap_or_clone(closed.frame)));
    }
    frames.extend(builder.close().map(|closed| Arc::unwrap_or_clone(closed.frame)));
    frames
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_leaving_out_dimensions_makes_alike_are_all_stored() {
    let server = Server::standin(&[
        "--table",
        "loadtests.samples",
        "--throttle-percent",
        "20",
        "--cut-after-apply-percent",
        "20",
    ]);
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let dimensions = Dimensions { exclude: names(&["url", "vu", "iter"]), include: None };
    let frames: Vec<_> = (1..=INSTANCES).map(|id| alike(id, &dimensions)).collect();
    let output = Timestream { dimensions: Some(dimensions), ..output(&server.endpoint()) };
    let result = run(output, frames).await;
    let count = u64::from(INSTANCES) * FRAMES * u64::from(SAMPLES);
    let output = &result.outputs[0];
    assert_eq!((output.emitted, output.stored, output.rejected.len()), (count, count, 0));
    let stored = stored_rows(&server);
    assert_eq!(stored.len() as u64, count);
    for row in stored {
        let names: Vec<&str> = row.dimensions.keys().map(String::as_str).collect();
        assert_eq!(names, ["instance_id", "status"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_leaves_out_dimensions_that_another_wants() {
    let server = Server::standin(&["--table", "loadtests.samples"]);
    let (frames, rows) = everyone();
    let include = Some(vec!["status".to_owned(), "time".to_owned()]);
    let dimensions = Dimensions { include, exclude: None };
    let output = Timestream { dimensions: Some(dimensions), ..output(&server.endpoint()) };
    let result = run(output, frames).await;
    let kept = ["status", "k6_time", "instance_id"];
    let rows: BTreeSet<Row> = rows
        .into_iter()
        .map(|mut row| {
            row.dimensions.retain(|name, _| kept.contains(&name.as_str()));
            row
        })
        .collect();
    verify_whole(&server, &result, &rows);
}

/// Frames of rows of one instance, with all that a record has no room for or may not be called. They are of so many samples.
fn folded(instance_id: u32) -> (Vec<Frame>, u64) {
    let all = Some(Dimensions { include: None, exclude: Some(Vec::new()) });
    let rollups = vec![RollupSpec { output: 0, dimensions: all }];
    let mut maker =
        Framer::new(instance_id, Limits::default(), [], &Wanted { rollups, only: true });
    let kinds = [("trend", Kind::Trend), ("gauge", Kind::Gauge), ("rate", Kind::Rate)];
    for (name, kind) in kinds {
        let (name, kind) = (Cow::Borrowed(name), Some(kind));
        maker.define(&Definition { name, kind, contains: Contains::default() });
    }
    let began_ns = now_ns() - 60_000_000_000;
    let long = "ü".repeat(2000);
    let tags = [
        vec![("url", long.as_str()), ("error", &long)],
        vec![("count", "a tag"), ("histogram", "another"), ("time", "a third"), ("a:b", "c")],
        vec![],
    ];
    let mut frames = Vec::new();
    let mut samples = 0;
    // A second of values that fall into every class, one of many in few, and some that come late.
    for second in [0, 1, 2, 1] {
        for at in 0..2000 {
            for (metric, _) in kinds {
                let pairs = tags.get(at % tags.len()).unwrap().iter();
                let pairs = pairs.map(|(name, value)| ((*name).into(), (*value).into()));
                let size = 1.02_f64.powi(i32::try_from(at).unwrap()) * 1e-8;
                let point = Point {
                    metric: metric.into(),
                    time_ns: began_ns + second * 1_000_000_000,
                    value: if second == 0 {
                        -size
                    } else {
                        f64::from(u32::try_from(at % 3).unwrap())
                    },
                    tags: Pairs(pairs.collect()),
                    metadata: Pairs::default(),
                };
                samples += 1;
                frames
                    .extend(maker.push(&point, 0).map(|closed| Arc::unwrap_or_clone(closed.frame)));
            }
        }
        if second == 1 {
            frames.extend(maker.close().map(|closed| Arc::unwrap_or_clone(closed.frame)));
        }
    }
    frames.extend(maker.close().map(|closed| Arc::unwrap_or_clone(closed.frame)));
    (frames, samples)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_second_fit_every_limit() {
    let server = Server::standin(&[
        "--table",
        "loadtests.samples",
        "--throttle-percent",
        "20",
        "--cut-after-apply-percent",
        "20",
    ]);
    let (frames, samples): (Vec<_>, Vec<_>) = (1..=INSTANCES).map(folded).unzip();
    let output = Timestream { mode: TimestreamMode::Rollup, ..output(&server.endpoint()) };
    let result = run(output, frames).await;
    let (output, samples) = (&result.outputs[0], samples.iter().sum::<u64>());
    assert_eq!((output.emitted, output.stored, output.rejected.len()), (samples, samples, 0));
    let text = server.ask("GET", "/rows", "");
    let rows: Vec<Value> = text.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    let count = |row: &Value| row["value"]["count"]["value"].as_u64().unwrap();
    assert_eq!(rows.iter().map(count).sum::<u64>(), samples);
    for row in &rows {
        let is = |name: &str| row["measure_name"] == name;
        assert_eq!(row["value"]["histogram"].is_null(), !is("trend"), "{row}");
        assert_eq!(row["value"]["last"].is_null(), !is("gauge"), "{row}");
    }
    let names = |row: &Value| row["dimensions"].as_object().unwrap().keys().cloned().collect();
    let seen: BTreeSet<String> = rows.iter().flat_map::<Vec<String>, _>(names).collect();
    for name in ["k6_count", "k6_histogram", "k6_time", "url", "error"] {
        assert!(seen.contains(name), "{name} of {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_takes_rows_of_a_second_too() {
    let server = Server::start("WEIR_MOTO", &["--table", "loadtests.samples"]);
    let (frames, samples) = folded(1);
    let frames = [vec![frames], vec![Vec::new(); usize::try_from(INSTANCES - 1).unwrap()]].concat();
    let output = Timestream { mode: TimestreamMode::Rollup, ..output(&server.endpoint()) };
    let result = run(output, frames).await;
    assert_eq!(result.outputs[0].stored, samples);
    let data: Value = serde_json::from_str(&server.ask("GET", "/moto-api/data.json", "")).unwrap();
    let records = data["timestreamwrite"]["TimestreamTable"][0]["records"].as_array().unwrap();
    let count = |record: &Value| {
        let columns = record["MeasureValues"].as_array().unwrap();
        let column = columns.iter().find(|column| column["Name"] == "count").unwrap();
        assert_eq!(column["Type"], "BIGINT");
        column["Value"].as_str().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(records.iter().map(count).sum::<u64>(), samples);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_ends_the_run_before_its_start() {
    let server = Server::standin(&[]);
    let result = run(output(&server.endpoint()), everyone().0).await;
    let outcome = result.outcome.unwrap();
    assert_eq!(outcome.reason, Reason::OutputFailed);
    assert!(
        outcome.message.contains("no table samples in database loadtests"),
        "{}",
        outcome.message
    );
    assert_eq!(result.started_unix_ms, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_is_made_where_that_is_asked_for() {
    let server = Server::standin(&[]);
    let (frames, rows) = everyone();
    let create =
        Some(TimestreamCreate { memory_retention_hours: 24, magnetic_retention_days: 365 });
    let result = run(Timestream { create, ..output(&server.endpoint()) }, frames).await;
    verify_whole(&server, &result, &rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_writes_end_the_run_and_say_what_to_allow() {
    let server = Server::standin(&["--table", "loadtests.samples", "--deny"]);
    let (frames, _) = everyone();
    let result = run(output(&server.endpoint()), frames).await;
    let outcome = result.outcome.unwrap();
    assert_eq!(outcome.reason, Reason::OutputFailed);
    assert!(outcome.message.contains("allow timestream:WriteRecords"), "{}", outcome.message);
    let output = &result.outputs[0];
    assert_eq!(output.emitted, output.rejected["OutputFailed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_takes_every_record_too() {
    let server = Server::start("WEIR_MOTO", &["--table", "loadtests.samples"]);
    let (frames, rows) = everyone();
    let result = run(output(&server.endpoint()), frames).await;
    assert_eq!(
        result.outcome.as_ref().unwrap().reason,
        Reason::ThresholdsMet,
        "{}",
        result.message
    );
    assert_eq!(result.outputs[0].stored, rows.len() as u64);
    let data: Value = serde_json::from_str(&server.ask("GET", "/moto-api/data.json", "")).unwrap();
    let records = data["timestreamwrite"]["TimestreamTable"][0]["records"].as_array().unwrap();
    assert_eq!(records.len(), rows.len());
    let times: BTreeSet<&str> = records.iter().map(|r| r["Time"].as_str().unwrap()).collect();
    assert!(rows.iter().all(|row| times.contains(row.time_ns.to_string().as_str())));
    // moto keeps no common attributes: a measure that stands in a record must be that of a row of its time.
    let known: BTreeSet<(String, &str)> =
        rows.iter().map(|row| (row.time_ns.to_string(), row.measure.as_str())).collect();
    let named =
        records.iter().filter_map(|r| Some((r["Time"].as_str()?, r["MeasureName"].as_str()?)));
    for (time, measure) in named {
        assert!(known.contains(&(time.to_owned(), measure)), "{measure} at {time}");
    }
}
