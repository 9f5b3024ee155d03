//! Arguments that make no sense are answered in one line that says what would.

use crate::harness::{Folder, Program, run_to_end};

/// How a command that must fail at once ends, and its only line.
async fn refusal(args: &[&'static str]) -> (Option<i32>, String) {
    let program = args[1..].iter().fold(Program::new(args[0]), |program, arg| program.arg(arg));
    let folder = Folder::new();
    let output = run_to_end(&program, folder.path()).await;

    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    (output.status.code(), text.trim_end().to_owned())
}

#[tokio::test]
async fn a_value_that_makes_no_sense_is_answered_with_what_does() {
    for (args, allowed) in [
        (&["jobs", "nope"][..], "use the id of a job, such as"),
        (&["jobs", "--state", "foo"], "use one of scheduled, queued, running, completed, failed"),
        (&["jobs", "--limit", "many"], "use a whole number from 1 to"),
        (&["watch", "nope"], "use the id of a job, such as"),
        (&["cancel", "nope"], "use the id of a job, such as"),
        (&["demo", "--jobs", "0"], "use a whole number from 1 to 10000"),
        (&["demo", "--jobs", "99999999999999999999"], "use a whole number from 1 to 10000"),
        (&["demo", "--jobs", "10001"], "use a whole number from 1 to 10000"),
        (&["dev", "--port", "99999"], "use a whole number from 0 to 65535"),
        (&["dev", "--workers", "100000"], "use a whole number from 0 to 100"),
        (&["submit", "x", "--timeout", "soon"], "use seconds, such as 90 or 0.5"),
        (&["submit", "x", "--params", "[1]"], "use a JSON object, such as"),
        (&["lanes", "share", "a", "b", "0"], "use a whole number from 1 to 1000"),
        (&["jobs", "--api", "nonsense"], "`nonsense` is no http:// or https:// address"),
        (&["migrate", "--database-url", "mysql://u:secret@h/d"], "must begin with postgresql://"),
    ] {
        let (code, line) = refusal(args).await;

        assert!(line.starts_with("jetlane: ") && line.contains(allowed), "{args:?}: {line}");
        assert!(!line.contains("secret"), "{line}");
        assert_eq!(code, Some(2), "{line}");
    }
}

#[tokio::test]
async fn what_caused_an_error_is_told_once() {
    let url = "postgresql://u:secret@127.0.0.1:1/d";
    let (code, line) = refusal(&["migrate", "--database-url", url]).await;

    let expected = "jetlane: cannot migrate the ledger: cannot reach 127.0.0.1:1/d: error \
                    communicating with database: Connection refused (os error 111)";
    assert_eq!((code, line.as_str()), (Some(1), expected));
}
