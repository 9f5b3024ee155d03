//! An error and what caused it, as text.

/// The error's text and those of its causes, separated by colons: for a log, or for people.
///
/// Many an error of a library says what caused it and hands that out as its cause, too; it is told
/// once.
#[must_use]
pub fn causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    let mut last = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !last.ends_with(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
        last = cause;
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context;

    use super::*;

    /// As sqlx and others have it.
    #[derive(Debug, thiserror::Error)]
    #[error("cannot talk: {0}")]
    struct Doubled(#[from] io::Error);

    #[test]
    fn a_cause_that_an_error_names_is_told_once() {
        let refused = || Doubled(io::Error::other("refused"));
        let told = |error: anyhow::Error| causes(&error);
        assert_eq!(told(refused().into()), "cannot talk: refused");
        let in_between = Err::<(), _>(refused()).context("the ledger").context("start");
        assert_eq!(told(in_between.unwrap_err()), "start: the ledger: cannot talk: refused");
    }

    #[test]
    fn causes_that_an_error_does_not_name_are_told() {
        let error = anyhow::anyhow!("no room").context("cannot write").context("stopped");
        assert_eq!(causes(&error), "stopped: cannot write: no room");
    }
}
