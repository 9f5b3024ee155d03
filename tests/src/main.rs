//! The real program, built where the tests find it.

fn main() -> std::process::ExitCode {
    jetlane::main()
}
