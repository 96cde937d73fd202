//! k6 itself, with its own outputs.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use nix::{
    fcntl::{FcntlArg, fcntl},
    sys::{resource::UsageWho, stat::Mode},
    unistd::mkfifo,
};

use crate::{
    cost::{Cost, cpu_us},
    scripts::Load,
};

/// As the agent has them.
const PIPE_BYTES: i32 = 1 << 20;
const READ_BYTES: usize = 1 << 20;
const GATHER: Duration = Duration::from_millis(4);

pub(crate) fn binary(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("set {name} to the binary"))
}

/// One k6 with an output, or without.
pub(crate) fn k6(load: Load, out: Option<&str>) -> Cost {
    run(&binary("WEIR_K6"), load, &arguments(out), &[])
}

fn arguments(out: Option<&str>) -> Vec<&str> {
    out.into_iter().flat_map(|out| ["--out", out]).collect()
}

/// What an agent has k6 do: all to its standard output, whose reader throws all away, at the agent's beat.
pub(crate) fn printed(load: Load) -> Cost {
    let (pipe, stdout) = io::pipe().expect("a pipe");
    let reader = thread::spawn(move || throw_away(File::from(OwnedFd::from(pipe))));
    let cost = run_into(&binary("WEIR_K6"), load, &arguments(Some("json")), &[], stdout.into());
    reader.join().expect("the reader");
    cost
}

/// The same where others see the tags and the output, or a threshold may stop the run: two tags on every sample, and all
/// into a named pipe.
pub(crate) fn piped(load: Load) -> Cost {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("samples");
    mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
    let opened = pipe.clone();
    let reader = thread::spawn(move || throw_away(File::open(opened).expect("the pipe")));
    let out = format!("json={}", pipe.display());
    let arguments = ["--tag", "instance_id=1", "--tag", "testid=path", "--out", &out];
    let cost = run(&binary("WEIR_K6"), load, &arguments, &[]);
    reader.join().expect("the reader");
    cost
}

fn throw_away(mut pipe: File) {
    fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES)).expect("its size");
    let mut buffer = vec![0; READ_BYTES];
    while pipe.read(&mut buffer).is_ok_and(|n| n > 0) {
        thread::sleep(GATHER);
    }
}

/// A k6 with xk6-output-timestream.
pub(crate) fn xk6(k6: &OsStr, load: Load, endpoint: &str) -> Cost {
    let env = [
        ("K6_TIMESTREAM_REGION", "eu-west-1"),
        ("K6_TIMESTREAM_DATABASE_NAME", "loadtests"),
        ("K6_TIMESTREAM_TABLE_NAME", "samples"),
        ("AWS_ENDPOINT_URL", endpoint),
    ];
    run(k6, load, &arguments(Some("timestream")), &env)
}

fn run(k6: &OsStr, load: Load, arguments: &[&str], env: &[(&str, &str)]) -> Cost {
    run_into(k6, load, arguments, env, Stdio::null())
}

fn run_into(
    k6: &OsStr,
    load: Load,
    arguments: &[&str],
    env: &[(&str, &str)],
    stdout: Stdio,
) -> Cost {
    let (_folder, script) = load.script();
    let before = cpu_us(UsageWho::RUSAGE_CHILDREN);
    let mut command = Command::new(k6);
    command.args(["run", "--quiet", "--address", ""]);
    let status = command
        .args(arguments)
        .arg(script)
        .envs(env.iter().copied())
        .env("K6_NO_USAGE_REPORT", "true")
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::null())
        .status()
        .expect("k6 starts");
    assert!(status.success(), "k6 with {arguments:?}: {status}");
    Cost { k6: cpu_us(UsageWho::RUSAGE_CHILDREN) - before, ..Cost::default() }
}
