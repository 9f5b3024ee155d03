//! The program under test and what it is told.

use std::path::Path;
use std::process::{Command, Output};

use jetlane_tests::PATIENCE;

/// A run of the program: what it is to be, and the whole of its environment.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    args: Vec<&'static str>,
    vars: Vec<(String, String)>,
}

impl Program {
    /// `jetlane edge`, `jetlane worker`, `jetlane migrate`, … told nothing yet.
    pub(crate) fn new(role: &'static str) -> Self {
        Self { args: vec![role], vars: Vec::new() }
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, arg: &'static str) -> Self {
        self.args.push(arg);
        self
    }

    /// Sets a variable; a later one of the same name wins.
    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets several variables.
    pub(crate) fn vars<'a>(self, vars: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        vars.into_iter().fold(self, |this, (name, value)| this.var(name, &value))
    }

    /// The command, in a folder without a `.env`.
    pub(crate) fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jetlane-under-test"));
        command
            .args(&self.args)
            .env_clear()
            .envs(self.vars.iter().map(|(name, value)| (name, value)))
            .current_dir(folder);
        command
    }
}

/// Runs a program that ends by itself.
///
/// # Panics
///
/// If it does not.
pub(crate) async fn run_to_end(program: &Program, folder: &Path) -> Output {
    let mut command = tokio::process::Command::from(program.command(folder));
    command.kill_on_drop(true).stdin(std::process::Stdio::null());
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    output.expect("the program must end by itself").unwrap()
}
