//! A strict stand-in for Amazon Timestream, a front for servers that take InfluxDB's line protocol, and a small HTTP
//! load target: for Weir's tests and demo, and for checking clients that are not Weir's.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod aws_json;
mod catalog;
mod client;
mod clock;
mod control;
mod faults;
mod influxdb;
mod intern;
mod limits;
mod list;
mod model;
mod rows;
mod serve;
mod sigv4;
mod stats;
mod table;
mod target;
mod timestream;
mod value;
mod write;

/// Stand-ins for the tests and the demo of Weir
#[derive(Debug, Parser)]
#[command(name = "weir-standin", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve Amazon Timestream's write API, strictly, in memory
    Timestream(Box<timestream::Settings>),
    /// Stand before a server that takes InfluxDB's line protocol: ask for the token, play faults
    Influxdb(influxdb::Settings),
    /// Serve a small HTTP load target
    Target(serve::Listen),
    /// Print what a running stand-in has stored
    List(list::Settings),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails as well.
            let _ignored = writeln!(io::stderr(), "weir-standin: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Timestream(settings) => timestream::run(*settings).await,
            Command::Influxdb(settings) => influxdb::run(settings).await,
            Command::Target(listen) => target::run(listen).await,
            Command::List(settings) => list::run(settings).await,
        }
    })
}
