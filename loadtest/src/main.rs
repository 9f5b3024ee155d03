//! The `loadtest` command.

fn main() -> std::process::ExitCode {
    jetlane_loadtest::main()
}
