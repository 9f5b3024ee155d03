//! Reading the fields of a JSON object, with every broken rule collected, so
//! that a caller can mend them all at once.

use std::num::NonZeroI32;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Datelike, Utc};
use serde_json::{Map, Value};

use crate::problem::{ApiError, Violation};
use crate::reader::escaped;

/// The longest params, in bytes of JSON.
const PARAMS_LIMIT: usize = 256 * 1024;

/// The longest time-out.
const LONGEST_TIMEOUT: Duration = Duration::from_hours(7 * 24);

/// The most attempts.
const MOST_ATTEMPTS: i32 = 100;

/// Fields still to be read, and the rules broken so far.
pub(crate) struct Fields {
    object: Map<String, Value>,
    violations: Vec<Violation>,
}

impl Fields {
    pub(crate) fn new(object: Map<String, Value>) -> Self {
        Self { object, violations: Vec::new() }
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// [`ApiError::Invalid`] if a rule was broken, or if fields are left that
    /// nobody asked for.
    pub(crate) fn finish(mut self) -> Result<(), ApiError> {
        for name in self.object.keys() {
            self.violations.push(Violation::at(format!("/{}", escaped(name)), "unknown field"));
        }
        if self.violations.is_empty() { Ok(()) } else { Err(ApiError::Invalid(self.violations)) }
    }

    /// Notes that a field that must be there is not.
    pub(crate) fn require<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        // A value that broke a rule has been noted already.
        let is_noted = self.violations.iter().any(|violation| {
            matches!(&violation.place, crate::problem::Place::Pointer(p) if *p == format!("/{name}"))
        });
        if value.is_none() && !is_noted {
            return self.violate(name, "this field is required");
        }
        value
    }

    /// Text with something to see in it, at most `max` characters.
    pub(crate) fn text(&mut self, name: &str, max: usize) -> Option<String> {
        let value = self.object.remove(name)?;
        let Value::String(text) = value else {
            return self.violate(name, "must be text");
        };
        if text.trim().is_empty() {
            return self.violate(name, "must not be blank");
        }
        if text.chars().count() > max {
            return self.violate(name, format!("must have at most {max} characters"));
        }
        Some(text)
    }

    /// Text or null: `Some(None)` for null.
    #[expect(clippy::option_option, reason = "absent, null and text mean three things to a change")]
    pub(crate) fn nullable_text(&mut self, name: &str, max: usize) -> Option<Option<String>> {
        if self.object.get(name).is_some_and(Value::is_null) {
            self.object.remove(name);
            return Some(None);
        }
        self.text(name, max).map(Some)
    }

    /// A whole number of 32 bits.
    pub(crate) fn integer(&mut self, name: &str) -> Option<i32> {
        let value = self.object.remove(name)?;
        match value.as_i64().and_then(|number| i32::try_from(number).ok()) {
            Some(number) => Some(number),
            None => self
                .violate(name, format!("must be a whole number from {} to {}", i32::MIN, i32::MAX)),
        }
    }

    /// How many attempts.
    pub(crate) fn attempts(&mut self, name: &str) -> Option<NonZeroI32> {
        let value = self.object.remove(name)?;
        let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
        match number
            .filter(|number| *number <= MOST_ATTEMPTS && *number > 0)
            .and_then(NonZeroI32::new)
        {
            Some(number) => Some(number),
            None => self.violate(name, format!("must be a whole number from 1 to {MOST_ATTEMPTS}")),
        }
    }

    /// An object of limited size.
    pub(crate) fn params(&mut self, name: &str) -> Option<Map<String, Value>> {
        let value = self.object.remove(name)?;
        let Value::Object(params) = value else {
            return self.violate(name, "must be an object");
        };
        let length = serde_json::to_string(&params).map_or(usize::MAX, |text| text.len());
        if length > PARAMS_LIMIT {
            return self.violate(name, format!("must have at most {PARAMS_LIMIT} bytes of JSON"));
        }
        Some(params)
    }

    /// A span in seconds, which may have a fraction.
    pub(crate) fn seconds(&mut self, name: &str) -> Option<Duration> {
        let value = self.object.remove(name)?;
        let span = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        match span.filter(|span| *span >= Duration::from_millis(1) && *span <= LONGEST_TIMEOUT) {
            Some(span) => Some(span),
            None => self.violate(
                name,
                format!("must be seconds from 0.001 to {}", LONGEST_TIMEOUT.as_secs()),
            ),
        }
    }

    /// A point in time with a zone.
    pub(crate) fn time(&mut self, name: &str) -> Option<DateTime<Utc>> {
        let value = self.object.remove(name)?;
        let time = value
            .as_str()
            .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
            .map(|time| time.with_timezone(&Utc))
            .filter(|time| (1970..=9999).contains(&time.year()));
        match time {
            Some(time) => Some(time),
            None => self.violate(name, "must be a time with a zone, as 2026-01-31T12:00:00Z"),
        }
    }

    /// Text that spells one of ours.
    pub(crate) fn spelled<T: FromStr>(&mut self, name: &str, rule: impl Into<String>) -> Option<T> {
        let value = self.object.remove(name)?;
        match value.as_str().and_then(|text| text.parse().ok()) {
            Some(value) => Some(value),
            None => self.violate(name, rule),
        }
    }

    fn violate<T>(&mut self, name: &str, detail: impl Into<String>) -> Option<T> {
        self.violations.push(Violation::at(format!("/{}", escaped(name)), detail));
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::problem::Place;

    fn fields(value: Value) -> Fields {
        match value {
            Value::Object(object) => Fields::new(object),
            _ => panic!("not an object"),
        }
    }

    #[test]
    fn every_broken_rule_is_told_at_once() {
        let mut fields = fields(json!({ "name": " ", "priority": 2.5, "extra~/": 1 }));
        let name = fields.text("name", 10);
        fields.require("name", name);
        fields.integer("priority");
        let Err(ApiError::Invalid(violations)) = fields.finish() else {
            panic!("accepted");
        };
        let places: Vec<_> = violations.into_iter().map(|violation| violation.place).collect();
        assert_eq!(places, ["/name", "/priority", "/extra~0~1"].map(|p| Place::Pointer(p.into())));
    }

    #[test]
    fn null_is_a_value_only_where_it_clears_something() {
        let mut fields = fields(json!({ "name": null, "submitted_by": null }));
        assert_eq!(fields.nullable_text("submitted_by", 10), Some(None));
        assert_eq!(fields.text("name", 10), None);
        assert!(fields.finish().is_err());
    }

    proptest! {
        #[test]
        fn no_number_makes_a_reader_panic(number in any::<f64>()) {
            let mut fields = fields(json!({ "a": number, "b": number, "c": number }));
            fields.integer("a");
            fields.seconds("b");
            fields.attempts("c");
        }

        #[test]
        fn no_text_makes_a_reader_panic(text in ".*") {
            let mut fields = fields(json!({ "a": text, "b": text, "c": text }));
            fields.time("a");
            fields.text("b", 5);
            fields.spelled::<jetlane_core::domain::LaneName>("c", "rule");
        }
    }
}
