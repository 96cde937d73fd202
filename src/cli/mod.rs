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
            Command::Writer(args) => args.run(),
        }
    }
}
