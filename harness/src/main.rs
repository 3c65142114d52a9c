//! `outbox-harness`.

fn main() -> std::process::ExitCode {
    harness::process::environment::settle();
    if std::env::args().nth(1).as_deref() == Some(harness::process::reaper::SUBCOMMAND) {
        return harness::process::reaper::main();
    }
    harness::cli::main()
}
