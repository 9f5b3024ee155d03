//! `jetlane doctor`: finds out what is missing on this machine.

mod checks;
mod programs;

use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use crate::output::{self, Format, one_line};

/// The arguments of `doctor`. The servers are those that the environment names.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// As it should be.
    Ok,
    /// Something will not work, which may not be needed.
    Warn,
    /// Something is broken.
    Fail,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    status: Status,
    found: String,
    /// What to do.
    advice: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, found: found.into(), advice: None }
    }

    fn warn(check: &'static str, found: impl Into<String>, advice: &str) -> Self {
        let advice = Some(advice.to_owned());
        Self { check, status: Status::Warn, found: found.into(), advice }
    }

    /// As [`fail`](Self::fail), where what was found says what to do.
    fn broken(check: &'static str, found: impl Into<String>) -> Self {
        Self { status: Status::Fail, ..Self::ok(check, found) }
    }

    fn fail(check: &'static str, found: impl Into<String>, advice: &str) -> Self {
        Self { status: Status::Fail, ..Self::warn(check, found, advice) }
    }
}

/// Prints one line for each check, with `--json` one object for all, and fails
/// if something is broken. Changes nothing, and downloads nothing.
///
/// # Errors
///
/// If `.env` cannot be read, or a variable of the environment means nothing.
pub(crate) async fn run(_: &Args, api: &str, format: Format) -> anyhow::Result<ExitCode> {
    let findings = checks::all(api).await?;
    let is_well = findings.iter().all(|finding| finding.status != Status::Fail);
    match format {
        Format::Json => output::print_json(&json!({ "ok": is_well, "checks": findings }))?,
        Format::Text => {
            for finding in &findings {
                output::print(line(finding))?;
            }
        }
    }
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line(finding: &Finding) -> String {
    let status = match finding.status {
        Status::Ok => "ok  ",
        Status::Warn => "warn",
        Status::Fail => "FAIL",
    };
    let advice = finding.advice.as_ref().map_or_else(String::new, |advice| format!("; {advice}"));
    format!("{status}  {:<19} {}{advice}", finding.check, one_line(&finding.found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_that_says_what_to_do() {
        let finding = Finding::fail("ledger", "no answer\nat all", "start it");
        assert_eq!(line(&finding), "FAIL  ledger              no answer at all; start it");
        assert_eq!(line(&Finding::ok("NATS", "fine")), "ok    NATS                fine");
    }
}
