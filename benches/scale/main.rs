//! Thousands of agents on one aggregator: two processes of real code, one of them the aggregator alone, and between them
//! the real sessions over loopback. Prints what was measured beside its bound; judges nothing.
//!
//! `AGENTS` (or the first number among the arguments) tells how many agents, `LOAD_SECONDS` how long the load goes on.
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to say")]
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod agents;
mod aggregator;
mod judging;
mod load;
mod usage;

use std::{
    env,
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde_json::Value;

// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_mins(5);
const ROLE: &str = "WEIR_SCALE_ROLE";
const TOKEN: &str = "3c9d1f0e";

/// What all processes of a measurement know.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) agents: u32,
    pub(crate) load: Duration,
    pub(crate) cert_pem: String,
    pub(crate) key_pem: String,
    pub(crate) port: u16,
}

impl Scene {
    /// As the environment tells it.
    fn of_env() -> Self {
        let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
        let agents = env::args().skip(1).find_map(|text| text.parse().ok());
        Self {
            agents: agents.or_else(|| number("AGENTS")).unwrap_or(5000).max(2),
            load: Duration::from_secs(number("LOAD_SECONDS").unwrap_or(18).into()),
            cert_pem: env::var("WEIR_SCALE_CERT").unwrap_or_default(),
            key_pem: env::var("WEIR_SCALE_KEY").unwrap_or_default(),
            port: number("WEIR_SCALE_PORT").and_then(|n| n.try_into().ok()).unwrap_or_default(),
        }
    }

    fn spawn(&self, role: &str) -> Running {
        let mut child = Command::new(env::current_exe().expect("this program"))
            .env(ROLE, role)
            .env("AGENTS", self.agents.to_string())
            .env("LOAD_SECONDS", self.load.as_secs().to_string())
            .env("WEIR_SCALE_CERT", &self.cert_pem)
            .env("WEIR_SCALE_KEY", &self.key_pem)
            .env("WEIR_SCALE_PORT", self.port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the same program again");
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        Running { child, stdout }
    }
}

/// Another process of this program; it ends with this one.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line
    }

    fn told(mut self) -> Value {
        let (tx, rx) = mpsc::channel();
        let mut stdout = self.stdout;
        thread::spawn(move || {
            let mut text = String::new();
            tx.send(stdout.read_to_string(&mut text).map(|_| text))
        });
        let text = rx.recv_timeout(PATIENCE);
        // It may have ended by itself.
        drop(self.child.kill());
        self.child.wait().expect("its end");
        let text = text.expect("it ends in time").expect("its output");
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("no result: {text:?}"))
    }
}

fn main() {
    let mut scene = Scene::of_env();
    weir::io::crypto::install();
    match env::var(ROLE).as_deref() {
        Ok("aggregator") => return aggregator::run(&scene),
        Ok("agents") => return agents::run(&scene),
        _ => {}
    }
    let descriptors = usage::raise_descriptors();
    let wanted = u64::from(scene.agents) + 64;
    if descriptors < wanted {
        println!("{descriptors} file descriptors are allowed here, and {wanted} are needed");
        return;
    }
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    scene.cert_pem = made.cert.pem();
    scene.key_pem = made.signing_key.serialize_pem();

    let mut aggregator = scene.spawn("aggregator");
    scene.port = aggregator.line().trim().parse().expect("its port");
    let agents = scene.spawn("agents").told();
    let aggregator = aggregator.told();
    let judging = judging::measure(scene.agents);
    print(&scene, &agents, &aggregator, &judging);
}

fn print(scene: &Scene, agents: &Value, aggregator: &Value, judging: &Value) {
    let count = scene.agents;
    let build = if cfg!(debug_assertions) { "debug" } else { "optimised" };
    println!("{count} agents on one aggregator, {build} build, {} processors", usage::processors());
    println!();
    row("what", "measured", "bound");
    row("----", "--------", "-----");
    for (from, key, what, bound) in [
        (agents, "start", "start delivered to all, from the last one's READY", "1 s"),
        (agents, "abort", "abort delivered to all, from one's word", "1 s"),
        (judging, "evaluate", "thresholds over all ledgers (min / median / max)", "200 ms"),
        (judging, "evaluate_last", "  the same, for good", "200 ms"),
        (judging, "view", "metrics of the whole run for the summary", ""),
        (judging, "read", "one ledger read in its session (without / with sketches)", ""),
        (judging, "take", "one ledger merged in the engine", ""),
        (judging, "take_summary", "one ledger with sketches merged in the engine", ""),
        (judging, "held", "memory of all ledgers with sketches", ""),
        (agents, "connect", "all connected and welcomed (TLS)", ""),
        (agents, "close", "from Finish to the last Goodbye", ""),
        (agents, "failed_dials", "dials that failed", ""),
        (agents, "redials", "sessions that broke off", "0"),
        (aggregator, "rss_connected", "aggregator: memory with all connected", ""),
        (aggregator, "rss_load", "aggregator: peak memory under load", ""),
        (aggregator, "rss_peak", "aggregator: peak memory, to the end", ""),
        (aggregator, "kept", "aggregator: ledgers on its disk at the end", ""),
        (aggregator, "cpu_connect", "aggregator: CPU to connect all", ""),
        (aggregator, "cpu_load", "aggregator: CPU under load, per second", ""),
        (aggregator, "cpu_close", "aggregator: CPU from the abort to the end", ""),
        (agents, "bytes", "bytes of messages per agent and second, under load", ""),
        (agents, "wire", "bytes on loopback per agent and second, all included", ""),
        (agents, "summary_bytes", "bytes of one ledger with sketches", ""),
        (agents, "cpu_load", "agents: CPU under load, per second, of all", ""),
        (aggregator, "outcome", "outcome", ""),
    ] {
        row(what, from[key].as_str().unwrap_or("not measured"), bound);
    }
}

fn row(what: &str, measured: &str, bound: &str) {
    println!("{what:<56} {measured:<32} {bound}");
}
