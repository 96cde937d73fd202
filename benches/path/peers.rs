//! k6 itself, with its own outputs.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    io::Read,
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
    scripts::Shape,
};

/// As the agent has them.
const PIPE_BYTES: i32 = 1 << 20;
const READ_BYTES: usize = 1 << 20;
const GATHER: Duration = Duration::from_millis(4);

pub(crate) fn binary(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("set {name} to the binary"))
}

/// One k6 with an output, or without.
pub(crate) fn k6(shape: Shape, samples: u32, out: Option<&str>) -> Cost {
    run(&binary("WEIR_K6"), shape, samples, out, &[])
}

/// The same into a named pipe whose reader throws all away, at the agent's beat.
pub(crate) fn piped(shape: Shape, samples: u32) -> Cost {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("samples");
    mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
    let opened = pipe.clone();
    let reader = thread::spawn(move || {
        let mut pipe = File::open(opened).expect("the pipe");
        fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES)).expect("its size");
        let mut buffer = vec![0; READ_BYTES];
        while pipe.read(&mut buffer).is_ok_and(|n| n > 0) {
            thread::sleep(GATHER);
        }
    });
    let cost = k6(shape, samples, Some(&format!("json={}", pipe.display())));
    reader.join().expect("the reader");
    cost
}

/// A k6 with xk6-output-timestream.
pub(crate) fn xk6(k6: &OsStr, shape: Shape, samples: u32, endpoint: &str) -> Cost {
    let env = [
        ("K6_TIMESTREAM_REGION", "eu-west-1"),
        ("K6_TIMESTREAM_DATABASE_NAME", "loadtests"),
        ("K6_TIMESTREAM_TABLE_NAME", "samples"),
        ("AWS_ENDPOINT_URL", endpoint),
    ];
    run(k6, shape, samples, Some("timestream"), &env)
}

fn run(k6: &OsStr, shape: Shape, samples: u32, out: Option<&str>, env: &[(&str, &str)]) -> Cost {
    let (_folder, script) = shape.script(samples, None);
    let before = cpu_us(UsageWho::RUSAGE_CHILDREN);
    let mut command = Command::new(k6);
    command.args(["run", "--quiet", "--address", ""]);
    if let Some(out) = out {
        command.args(["--out", out]);
    }
    let status = command
        .arg(script)
        .envs(env.iter().copied())
        .env("K6_NO_USAGE_REPORT", "true")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("k6 starts");
    assert!(status.success(), "k6 with {out:?}: {status}");
    Cost { k6: cpu_us(UsageWho::RUSAGE_CHILDREN) - before, ..Cost::default() }
}
