//! Versions of servers, as far as we compare them.

use std::fmt;

/// The first two numbers of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl Version {
    /// The first version named in what a program or a server says of itself, as in
    /// `postgres (PostgreSQL) 18.4`.
    pub(crate) fn find(text: &str) -> Option<Self> {
        let text = &text[text.find(|c: char| c.is_ascii_digit())?..];
        let (major, rest) = leading_number(text)?;
        let minor = rest.strip_prefix('.').and_then(leading_number).map_or(0, |(minor, _)| minor);

        Some(Self { major, minor })
    }
}

fn leading_number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minor {
            0 => write!(f, "{}", self.major),
            minor => write!(f, "{}.{minor}", self.major),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_servers_say() {
        let found = |text| Version::find(text).map(|version| (version.major, version.minor));

        assert_eq!(found("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some((15, 14)));
        assert_eq!(found("postgres (PostgreSQL) 19beta1"), Some((19, 0)));
        assert_eq!(found("nats-server: v2.15.1"), Some((2, 15)));
        assert_eq!(found("2.11.0-RC.1"), Some((2, 11)));
        assert_eq!(found("no such thing"), None);
    }

    #[test]
    fn minor_versions_compare_as_numbers() {
        assert!(Version::find("2.9.1") < Version::find("2.11.0"));
    }
}
