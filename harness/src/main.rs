//! `outbox-harness`.

fn main() -> std::process::ExitCode {
    harness::process::environment::settle();
    let subcommand = std::env::args().nth(1).unwrap_or_default();
    harness::process::hidden(&subcommand, harness::stack::DUTIES).unwrap_or_else(harness::cli::main)
}
