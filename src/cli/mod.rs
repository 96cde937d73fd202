//! The command line: what the user typed, turned into each process's settings. May not hold: the processes themselves.

use clap::{Parser, Subcommand};

mod agent;
mod aggregator;
pub(crate) mod crds;
mod idle;
mod install;
mod operator;
mod run;
mod serving;
mod supervise;
mod writer;

/// Distributed k6 load tests with one verdict.
#[derive(Debug, Parser)]
#[command(name = "weir", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run k6 in a runner pod, ship its samples, obey the aggregator
    Agent(Box<agent::Args>),
    /// Serve one run: gather its agents, write their samples, publish the result
    Aggregator(Box<aggregator::Args>),
    /// Print the CustomResourceDefinitions as YAML
    Crds(crds::Args),
    /// Wait for SIGTERM (keeps the sidecar up that brings this executable into runner pods)
    Idle(idle::Args),
    /// Copy this executable (used by the sidecar of runner pods)
    Install(install::Args),
    /// Run the operator
    Operator(operator::Args),
    /// Run a LoadTest on this machine, without a cluster
    Run(Box<run::Args>),
    /// Run a command of weir, and at once again when it is killed (the first process of the aggregator's containers)
    Supervise(supervise::Args),
    /// Write samples of one run beside its aggregator (a replica of it without a say in the run)
    Writer(Box<writer::Args>),
}

impl Cli {
    /// Runs the command to its end and answers the process's exit code.
    ///
    /// # Errors
    /// What kept the command from its end, for the person at the terminal.
    pub fn run(self) -> anyhow::Result<u8> {
        match self.command {
            Command::Agent(args) => args.run(),
            Command::Aggregator(args) => args.run(),
            Command::Crds(args) => args.run(),
            Command::Idle(args) => args.run(),
            Command::Install(args) => args.run(),
            Command::Operator(args) => args.run(),
            Command::Run(args) => args.run(),
            Command::Supervise(args) => args.run(),
            Command::Writer(args) => args.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::lifecycle::{
        build::{aggregator, meta::Child, runner, writer},
        seen::RunSeen,
        valid::validate,
    };

    /// What the container of a Job's pod is started with.
    fn words(job: &Child, container: &str, field: &str) -> Vec<String> {
        let containers = &job.object["spec"]["template"]["spec"]["containers"];
        let found = containers.as_array().unwrap().iter().find(|c| c["name"] == container);
        serde_json::from_value(found.unwrap()[field].clone()).unwrap()
    }

    #[test]
    fn what_the_operator_starts_pods_with_is_understood() {
        let spec = "{parallelism: 3, script: {file: {path: /test.js}}, aggregator: {replicas: 2}, tags: {team: a},
            thresholds: {http_reqs: [{threshold: count>0}]}, k6: {args: [--quiet]},
            outputs: [{timestream: {databaseName: k6db, tableName: samples, dimensions: {exclude: [url]}}}]}";
        let test = validate("shop-1", serde_saphyr::from_str(spec).unwrap()).unwrap();
        let (namespace, name, uid) = ("ns".to_owned(), "shop-1".to_owned(), "uid".to_owned());
        let run = RunSeen { namespace, name, uid, ..RunSeen::default() };
        let image = "weir";
        let with = |words: Vec<String>, more: &[&str]| {
            let program = std::iter::once("weir".to_owned());
            let more = more.iter().map(|word| (*word).to_owned());
            Cli::try_parse_from(program.chain(words).chain(more)).map(|cli| cli.command)
        };
        let supervised = |words: Vec<String>| match with(words, &[]) {
            Ok(Command::Supervise(args)) => args.words(),
            other => panic!("{other:?}"),
        };
        let aggregator = words(&aggregator::job(&test, &run, image), "aggregator", "args");
        let read = with(supervised(aggregator), &["--plan", "{}"]);
        assert!(matches!(read, Ok(Command::Aggregator(_))), "{read:?}");
        let writer = words(&writer::job(&test, &run, image).unwrap(), "aggregator", "args");
        let read = with(supervised(writer), &["--plan", "{}", "--writer-index", "0"]);
        assert!(matches!(read, Ok(Command::Writer(_))), "{read:?}");
        let mut agent = words(&runner::job(&test, &run, image), "k6", "command").split_off(1);
        agent.splice(1..1, ["--instance-index".to_owned(), "1".to_owned()]);
        let read = with(agent, &[]);
        assert!(matches!(read, Ok(Command::Agent(_))), "{read:?}");
    }
}
