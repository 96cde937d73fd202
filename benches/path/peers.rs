//! k6 itself, with its own outputs.

use std::{
    env,
    ffi::{OsStr, OsString},
    process::{Command, Stdio},
};

use nix::sys::resource::UsageWho;

use crate::{
    cost::{Cost, cpu_us},
    scripts::Shape,
};

pub(crate) fn binary(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("set {name} to the binary"))
}

/// One k6 with an output, or without.
pub(crate) fn k6(shape: Shape, samples: u32, out: Option<&str>) -> Cost {
    run(&binary("WEIR_K6"), shape, samples, out, &[])
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
