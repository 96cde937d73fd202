//! Weir's own way: `weir agent` with a real k6, and an aggregator in a process of its own.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::sys::resource::UsageWho;
use serde_json::Value;
use weir::core::samples::rollup::spec::Wanted;

use crate::{
    aggregator::{Goal, ROLE, TOKEN, the_run},
    cost::{Cost, Memory, cpu_us, loopback_bytes, of_process},
    peers::binary,
    scripts::Shape,
};

/// How long a run may take.
const PATIENCE: Duration = Duration::from_mins(5);
/// How often the agent is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// A run of one instance.
pub(crate) fn weir(shape: Shape, samples: u32, pace: Option<u32>, goal: &Goal) -> Cost {
    let (folder, script) = shape.script(samples, pace);
    let file = |name: &str| folder.path().join(name);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    fs::write(file("ca.pem"), made.cert.pem()).expect("the certificate");
    fs::write(file("token"), TOKEN).expect("the token");
    let mut aggregator = Command::new(env::current_exe().expect("this program"))
        .env(ROLE, serde_json::to_string(goal).expect("a text"))
        .env("WEIR_PATH_CERT", made.cert.pem())
        .env("WEIR_PATH_KEY", made.signing_key.serialize_pem())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the same program again");
    let mut stdout = BufReader::new(aggregator.stdout.take().expect("its output"));
    let mut port = String::new();
    stdout.read_line(&mut port).expect("its port");

    let (cpu_before, bytes_before) = (cpu_us(UsageWho::RUSAGE_CHILDREN), loopback_bytes());
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command
        .args(["agent", "--instances", "1", "--instance-index", "0"])
        .args(["--run", &the_run().to_string()])
        .args(["--endpoint", &format!("https://localhost:{}", port.trim())])
        .arg("--ca-file")
        .arg(file("ca.pem"))
        .arg("--token-file")
        .arg(file("token"))
        .arg("--work-dir")
        .arg(file("work"))
        .arg("--script")
        .arg(&script)
        .arg("--k6")
        .arg(binary("WEIR_K6"));
    let outputs = goal.outputs();
    if !outputs.is_empty() {
        command.arg("--ship-samples");
    }
    let rollups = Wanted::of_outputs(&outputs);
    if !rollups.rollups.is_empty() {
        command.arg("--rollups").arg(serde_json::to_string(&rollups).expect("a text"));
    }
    let mut agent = command
        .env("K6_NO_USAGE_REPORT", "true")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the agent starts");
    let began = Instant::now();
    let (mut memory, mut own_us) = ([Memory::default(); 2], 0.0);
    let status = loop {
        for (most, id) in memory.iter_mut().zip([agent.id(), aggregator.id()]) {
            if let Some((now, _)) = of_process(id) {
                *most = Memory { peak: now.peak, own: most.own.max(now.own) };
            }
        }
        if let Some((_, own)) = of_process(agent.id()) {
            own_us = own;
        }
        if let Some(status) = agent.try_wait().expect("its end") {
            break status;
        }
        assert!(began.elapsed() < PATIENCE, "the run does not end");
        thread::sleep(LOOK);
    };
    let (cpu, bytes) = (cpu_us(UsageWho::RUSAGE_CHILDREN), loopback_bytes());
    let mut text = String::new();
    stdout.read_to_string(&mut text).expect("what the aggregator says");
    aggregator.wait().expect("its end");
    let told: Value = serde_json::from_str(&text).unwrap_or_default();
    assert!(
        status.success() && told["reason"] == "ThresholdsMet",
        "the agent: {status}, the aggregator: {told}"
    );
    assert_eq!(told["emitted"], told["stored"], "every sample is stored");
    Cost {
        k6: cpu - cpu_before - own_us,
        agent: own_us,
        aggregator: told["cpu_us"].as_f64().unwrap_or(0.0),
        wire_bytes: bytes - bytes_before,
        stored: told["stored"].as_u64().unwrap_or(0),
        agent_memory: memory[0],
        aggregator_memory: memory[1],
    }
}
