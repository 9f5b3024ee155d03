//! Names that become a token of a NATS subject or a metric label.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Text that is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use 1 to 32 of a-z, 0-9 and -, starting with a letter")]
pub struct InvalidName;

/// The longest name, in bytes.
const MAX_LEN: usize = 32;

fn checked(text: &str) -> Result<String, InvalidName> {
    let well_formed = text.len() <= MAX_LEN
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));

    if well_formed { Ok(text.to_owned()) } else { Err(InvalidName) }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// `[a-z][a-z0-9-]{0,31}`: no dot and no wildcard can enter a subject.
        #[derive(
            Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Default for $name {
            /// The one that every ledger has: `default`.
            fn default() -> Self {
                Self("default".to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                checked(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

name! {
    /// The name of a lane: a queue of jobs with its own policy.
    LaneName
}

name! {
    /// The name of a tenant: whose jobs they are.
    TenantName
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_is_its_own_spelling(text in "[a-z][a-z0-9-]{0,31}") {
            let name: LaneName = text.parse().unwrap();
            prop_assert_eq!(name.as_str(), text);
        }

        #[test]
        fn nothing_that_a_subject_gives_meaning_to_is_a_name(
            head in "[a-z]{0,5}", odd in "[.*> \\r\\n\\x00A-Z_/é]", tail in "[a-z]{0,5}",
        ) {
            let text = format!("{head}{odd}{tail}");
            prop_assert_eq!(text.parse::<LaneName>(), Err(InvalidName));
        }
    }

    #[test]
    fn a_name_has_1_to_32_bytes() {
        assert_eq!("".parse::<LaneName>(), Err(InvalidName));
        assert_eq!("a".repeat(33).parse::<LaneName>(), Err(InvalidName));
        assert!("a".repeat(32).parse::<LaneName>().is_ok());
    }
}
