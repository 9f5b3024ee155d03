//! Reading the fields of a JSON object, with every broken rule collected, so
//! that a caller can mend them all at once.

use std::num::NonZeroI32;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Datelike, SubsecRound, Utc};
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
    /// The JSON pointer of the object.
    place: String,
    object: Map<String, Value>,
    violations: Vec<Violation>,
}

impl Fields {
    pub(crate) fn new(object: Map<String, Value>) -> Self {
        Self::at("", object)
    }

    /// The fields of an object at this JSON pointer of the body.
    pub(crate) fn at(place: impl Into<String>, object: Map<String, Value>) -> Self {
        Self { place: place.into(), object, violations: Vec::new() }
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// [`ApiError::Invalid`] if a rule was broken, or if fields are left that
    /// nobody asked for.
    pub(crate) fn finish(mut self) -> Result<(), ApiError> {
        for name in self.object.keys() {
            let pointer = format!("{}/{}", self.place, escaped(name));
            self.violations.push(Violation::at(pointer, "unknown field"));
        }
        if self.violations.is_empty() { Ok(()) } else { Err(ApiError::Invalid(self.violations)) }
    }

    /// Notes that a field that must be there is not.
    pub(crate) fn require<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        // A value that broke a rule has been noted already.
        let pointer = format!("{}/{name}", self.place);
        let is_noted = self.violations.iter().any(|violation| {
            matches!(&violation.place, crate::problem::Place::Pointer(place) if *place == pointer)
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
        Some(as_kept(params))
    }

    /// A span in seconds, which may have a fraction.
    pub(crate) fn seconds(&mut self, name: &str) -> Option<Duration> {
        let value = self.object.remove(name)?;
        let span = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        // What is kept, so that a repeated answer says the same.
        let span = span.and_then(|span| u64::try_from(span.as_millis()).ok());
        match span
            .map(Duration::from_millis)
            .filter(|span| *span >= Duration::from_millis(1) && *span <= LONGEST_TIMEOUT)
        {
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
            .map(|time| time.with_timezone(&Utc).trunc_subsecs(6))
            .filter(|time| (1970..=9999).contains(&time.year()));
        match time {
            Some(time) => Some(time),
            None => self.violate(name, "must be a time with a zone, as 2026-01-31T12:00:00Z"),
        }
    }

    /// A whole number from `least` to `most`, or null: `Some(None)` for null.
    #[expect(
        clippy::option_option,
        reason = "absent, null and a number mean three things to a change"
    )]
    pub(crate) fn nullable_integer(
        &mut self,
        name: &str,
        range: RangeInclusive<i32>,
    ) -> Option<Option<i32>> {
        let value = self.object.remove(name)?;
        let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
        match number.filter(|number| range.contains(number)) {
            _ if value.is_null() => Some(None),
            Some(number) => Some(Some(number)),
            None => {
                let (least, most) = (range.start(), range.end());
                self.violate(
                    name,
                    format!("must be a whole number from {least} to {most}, or null"),
                )
            }
        }
    }

    /// A number above 0, at most `most`.
    pub(crate) fn positive(&mut self, name: &str, most: f64) -> Option<f64> {
        let value = self.object.remove(name)?;
        match value.as_f64().filter(|number| *number > 0.0 && *number <= most) {
            Some(number) => Some(number),
            None => self.violate(name, format!("must be a number above 0, at most {most}")),
        }
    }

    /// Whether the field is there and null. It is taken away then.
    pub(crate) fn is_null(&mut self, name: &str) -> bool {
        let is_null = self.object.get(name).is_some_and(Value::is_null);
        if is_null {
            self.object.remove(name);
        }
        is_null
    }

    /// Yes or no.
    pub(crate) fn flag(&mut self, name: &str) -> Option<bool> {
        let value = self.object.remove(name)?;
        match value.as_bool() {
            Some(flag) => Some(flag),
            None => self.violate(name, "must be true or false"),
        }
    }

    /// An object whose own fields `read` reads; null counts as absent.
    pub(crate) fn object<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let value = self.object.remove(name)?;
        match value {
            Value::Null => None,
            Value::Object(object) => {
                let mut inner = Self::at(format!("{}/{}", self.place, escaped(name)), object);
                let value = read(&mut inner);
                if let Err(ApiError::Invalid(violations)) = inner.finish() {
                    self.violations.extend(violations);
                }
                Some(value)
            }
            _ => self.violate(name, "must be an object"),
        }
    }

    /// A list of 1 to `most` items, to be read one by one.
    pub(crate) fn items(&mut self, name: &str, most: usize) -> Option<Vec<Value>> {
        let value = self.object.remove(name)?;
        match value {
            Value::Array(items) if (1..=most).contains(&items.len()) => Some(items),
            _ => self.violate(name, format!("must be a list of 1 to {most}")),
        }
    }

    /// A list of texts that spell ours.
    pub(crate) fn spelled_list<T: FromStr>(&mut self, name: &str, rule: &str) -> Option<Vec<T>> {
        let value = self.object.remove(name)?;
        let items = value.as_array().map(|items| {
            items.iter().map(|item| item.as_str()?.parse().ok()).collect::<Option<Vec<T>>>()
        });
        match items.flatten() {
            Some(items) => Some(items),
            None => self.violate(name, rule),
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

    pub(crate) fn violate<T>(&mut self, name: &str, detail: impl Into<String>) -> Option<T> {
        let pointer = format!("{}/{}", self.place, escaped(name));
        self.violations.push(Violation::at(pointer, detail));
        None
    }
}

/// The object with its fields in the order in which PostgreSQL keeps them:
/// shorter names first. So every answer shows them alike.
fn as_kept(object: Map<String, Value>) -> Map<String, Value> {
    fn kept(value: Value) -> Value {
        match value {
            Value::Object(object) => Value::Object(as_kept(object)),
            Value::Array(items) => Value::Array(items.into_iter().map(kept).collect()),
            other => other,
        }
    }
    let mut fields: Vec<_> = object.into_iter().map(|(name, value)| (name, kept(value))).collect();
    fields.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
    fields.into_iter().collect()
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
