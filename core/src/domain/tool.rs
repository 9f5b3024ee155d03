//! What carries a job out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::UnknownSpelling;

/// What carries a job out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    /// Takes time and reports progress, as real work would.
    #[default]
    Simulate,
}

impl Tool {
    /// Every tool.
    pub const ALL: [Self; 1] = [Self::Simulate];

    /// The one spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Simulate => "simulate",
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Tool {
    type Err = UnknownSpelling;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|tool| tool.as_str() == text)
            .ok_or_else(|| UnknownSpelling(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_has_one_spelling() {
        for tool in Tool::ALL {
            assert_eq!(tool.to_string().parse(), Ok(tool));
            assert_eq!(serde_json::to_value(tool).unwrap(), tool.as_str());
        }
    }
}
