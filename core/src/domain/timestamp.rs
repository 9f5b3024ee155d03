//! The one spelling of a time: RFC 3339, UTC, microseconds.

use chrono::{DateTime, SecondsFormat, Utc};

/// `at` as it stands in JSON, such as `2026-01-31T12:00:00.000000Z`.
#[must_use]
pub fn format_timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// For `#[serde(with = …)]` on a time.
pub mod rfc3339 {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes `at` with microseconds, always.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(at: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::format_timestamp(*at))
    }

    /// Reads an RFC 3339 time of any precision and zone.
    ///
    /// # Errors
    ///
    /// If the text is no RFC 3339 time.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DateTime<Utc>, D::Error> {
        DateTime::deserialize(from)
    }
}

/// For `#[serde(with = …)]` on a time that may be absent.
pub mod optional_rfc3339 {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes `at` with microseconds, or null.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(at: &Option<DateTime<Utc>>, to: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => to.serialize_str(&super::format_timestamp(*at)),
            None => to.serialize_none(),
        }
    }

    /// Reads an RFC 3339 time or null.
    ///
    /// # Errors
    ///
    /// If the text is no RFC 3339 time.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<DateTime<Utc>>, D::Error> {
        Option::deserialize(from)
    }
}
