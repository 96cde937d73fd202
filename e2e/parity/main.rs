//! The parity suite: each script is run once by k6, and by Weir with 1, 2 and 5 instances; all that comes of it must be
//! equal, but for what `tolerated.rs` lists. Prints a table.
//!
//! Environment: `WEIR_K6` (binaries of k6, separated by colons), `WEIR_BIN` (else `target/debug/weir`), `PARITY` (`short`
//! or `full`), `PARITY_JOBS` (scripts at once). An argument that is no flag picks the scripts whose names contain it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::format_push_string,
    reason = "tests"
)]

mod case;
mod compare;
mod examples;
mod ran;
mod target;
mod text;
mod tolerated;
mod websocket;

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::{Mutex, mpsc},
    thread,
    time::Instant,
};

use case::Case;
use compare::{Found, compare};
use ran::{Runner, World, run};
use target::Target;
use tolerated::Tolerated;

/// Instances that Weir runs each script with.
const INSTANCES: [u32; 3] = [1, 2, 5];

/// What came of one script.
struct Compared {
    name: String,
    /// Exit code of k6.
    exit: Option<i32>,
    /// What k6 itself did not do as the script's head says.
    wrong: Option<String>,
    /// What was found of each number of instances.
    found: Vec<Option<Found>>,
}

impl Compared {
    fn is_ok(&self, index: usize) -> bool {
        self.found.get(index).is_some_and(|found| match found {
            Some(found) => found.differences.is_empty(),
            None => true,
        })
    }

    fn is_all_ok(&self) -> bool {
        self.wrong.is_none() && (0..INSTANCES.len()).all(|index| self.is_ok(index))
    }
}

/// One line of the matrix.
struct Row {
    version: String,
    scripts: (usize, usize),
    examples: (usize, usize),
    by_instances: Vec<usize>,
}

fn main() -> ExitCode {
    let began = Instant::now();
    let is_short = env::var("PARITY").is_ok_and(|form| form == "short");
    let filters: Vec<String> = env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let k6s = env::var("WEIR_K6").expect("WEIR_K6: the binaries of k6, separated by colons");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let weir =
        env::var_os("WEIR_BIN").map_or_else(|| root.join("target/debug/weir"), PathBuf::from);
    assert!(weir.is_file(), "WEIR_BIN: {} is not there", weir.display());
    let target = Target::start();
    let mut rows = Vec::new();
    let mut is_ok = true;
    let mut tolerated: BTreeMap<Tolerated, u64> = BTreeMap::new();
    for k6 in k6s.split(':').filter(|path| !path.is_empty()) {
        let work = tempfile::tempdir().unwrap();
        let world = World {
            k6: PathBuf::from(k6),
            weir: std::path::absolute(&weir).unwrap(),
            target: target.clone(),
            work: work.path().to_owned(),
        };
        let version = version(&world.k6);
        println!("\nk6 {version}: {k6}\n");
        let mut cases =
            case::corpus(&root.join("e2e/parity/scripts"), &work.path().join("scripts"));
        let mut left_out = BTreeMap::new();
        if !is_short {
            match examples::find(&version, &work.path().join("k6/examples"), &target) {
                Ok(found) => {
                    cases.extend(found.cases);
                    left_out = found.left_out;
                }
                Err(why) => {
                    println!("no examples of k6: {why}");
                    is_ok = false;
                }
            }
        }
        cases.retain(|case| {
            let major = version.trim_start_matches('v').split('.').next().unwrap_or_default();
            let is_of_this = case.head.only.is_none_or(|only| only.to_string() == major);
            let is_picked = filters.is_empty() || filters.iter().any(|f| case.name.contains(f));
            is_of_this && is_picked && (case.head.short || !is_short)
        });
        let compared = all(&world, cases);
        for found in compared.iter().flat_map(|compared| &compared.found).flatten() {
            for (why, count) in &found.tolerated {
                *tolerated.entry(*why).or_default() += count;
            }
        }
        if !left_out.is_empty() && filters.is_empty() {
            let ran = compared.iter().filter(|c| c.name.starts_with("examples/")).count();
            println!("\n{ran} of k6's {} examples ran; left out:", ran + left_out.len());
            for (name, why) in &left_out {
                println!("  {name}: {why}");
            }
        }
        is_ok &= !compared.is_empty() && compared.iter().all(Compared::is_all_ok);
        rows.push(row(version, &compared));
    }
    println!("\ntolerated, in values and lines:");
    for (why, count) in tolerated {
        println!("  {count:>6} {}", why.reason());
    }
    print_matrix(&rows);
    println!(
        "\n{} in {:.0} s",
        if is_ok { "parity" } else { "NO PARITY" },
        began.elapsed().as_secs_f64()
    );
    if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `v2.2.0`, from what the binary prints.
fn version(k6: &Path) -> String {
    let printed = Command::new(k6).arg("version").output().unwrap().stdout;
    let text = String::from_utf8_lossy(&printed).into_owned();
    text.split_whitespace().nth(1).unwrap_or_default().to_owned()
}

/// A few scripts at once, then one by one those that depend on time. Prints each as it is done.
fn all(world: &World, cases: Vec<Case>) -> Vec<Compared> {
    println!("{:<44} {:>4}  {}", "script", "k6", INSTANCES.map(|n| format!("n{n:<4}")).join(" "));
    let jobs = env::var("PARITY_JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(2);
    let (alone, together): (Vec<_>, Vec<_>) = cases.into_iter().partition(|case| case.head.alone);
    let mut compared = Vec::new();
    for (cases, jobs) in [(together, jobs), (alone, 1)] {
        let waiting = Mutex::new(cases.into_iter());
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..jobs {
                let (sender, waiting) = (sender.clone(), &waiting);
                scope.spawn(move || {
                    loop {
                        let next = waiting.lock().unwrap().next();
                        let Some(case) = next else { return };
                        sender.send(one(world, &case)).unwrap();
                    }
                });
            }
            drop(sender);
            for one in receiver {
                print(&one);
                compared.push(one);
            }
        });
    }
    compared
}

fn one(world: &World, case: &Case) -> Compared {
    let k6 = run(world, case, Runner::K6);
    let wrong = (k6.exit != Some(case.head.exit)).then(|| {
        let (exit, wanted) = (k6.exit, case.head.exit);
        format!("k6 itself ends with {exit:?}, not {wanted}: {}", tail(&k6.stderr))
    });
    let found = INSTANCES.map(|instances| {
        if case.head.up_to.is_some_and(|most| instances > most) {
            return None;
        }
        let weir = run(world, case, Runner::Weir(instances));
        let mut found = compare(&case.head, &k6, &weir);
        if !found.differences.is_empty() && env::var_os("PARITY_STDERR").is_some() {
            found.differences.push(format!("standard error of Weir:\n{}", weir.stderr));
        }
        Some(found)
    });
    Compared { name: case.name.clone(), exit: k6.exit, wrong, found: found.into() }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().rev().take(3).rev().copied().collect::<Vec<_>>().join(" | ")
}

fn print(compared: &Compared) {
    let exit = compared.exit.map_or_else(|| "-".to_owned(), |exit| exit.to_string());
    let verdicts = compared.found.iter().map(|found| match found {
        None => "-    ",
        Some(found) if found.differences.is_empty() => "ok   ",
        Some(_) => "DIFF ",
    });
    println!("{:<44} {exit:>4}  {}", compared.name, verdicts.collect::<Vec<_>>().join(" "));
    if let Some(wrong) = &compared.wrong {
        println!("    {wrong}");
    }
    for (instances, found) in INSTANCES.iter().zip(&compared.found) {
        for difference in found.iter().flat_map(|found| &found.differences) {
            println!("    n{instances}: {difference}");
        }
    }
}

fn row(version: String, compared: &[Compared]) -> Row {
    let of = |is_example: bool| {
        let these = compared.iter().filter(|c| c.name.starts_with("examples/") == is_example);
        let (mut ok, mut all) = (0, 0);
        for one in these {
            all += 1;
            ok += usize::from(one.is_all_ok());
        }
        (ok, all)
    };
    let by_instances = (0..INSTANCES.len())
        .map(|index| {
            let ran = compared.iter().filter(|compared| compared.found[index].is_some());
            ran.filter(|compared| compared.is_ok(index)).count()
        })
        .collect();
    Row { version, scripts: of(false), examples: of(true), by_instances }
}

fn print_matrix(rows: &[Row]) {
    println!("\n| k6 | scripts | k6's examples | -n 1 | -n 2 | -n 5 |\n|---|---|---|---|---|---|");
    for row in rows {
        let share = |(ok, all): (usize, usize)| format!("{ok} of {all}");
        let by_instances = row.by_instances.iter().map(usize::to_string).collect::<Vec<_>>();
        println!(
            "| {} | {} | {} | {} |",
            row.version,
            share(row.scripts),
            share(row.examples),
            by_instances.join(" | ")
        );
    }
}
