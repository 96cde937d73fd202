//! The one binary: parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;

// musl's allocator is slow under threads, and the static image is built with musl.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match weir::cli::Cli::parse().run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            #[expect(
                clippy::print_stderr,
                reason = "the last word of a command goes to the terminal"
            )]
            {
                eprintln!("weir: {error:#}");
            }
            ExitCode::from(2)
        }
    }
}
