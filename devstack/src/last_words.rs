//! What a server or an engine said last, as one line for a message.

/// How many lines of a log are worth repeating.
pub(crate) const TAIL: usize = 4;

/// The last lines of a log.
pub(crate) fn of_log(log: &str) -> String {
    let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL)..].join(" | ")
}

/// An error of several lines or of wild spaces.
pub(crate) fn of_error(error: &dyn std::error::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_repeated() {
        assert_eq!(of_log("a\nb\n\n  c \nd\ne\n"), "b | c | d | e");
        assert_eq!(of_log(""), "");
    }
}
