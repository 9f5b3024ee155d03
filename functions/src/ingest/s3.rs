//! Objects that were created: rules say which make a job, and which job.

use anyhow::Context;
use aws_lambda_events::s3::{S3Event, S3EventRecord};
use jetlane_core::causes;
use jetlane_core::domain::NewJob;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{accept, read};
use crate::app::App;

/// Which objects make a job, and which.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Only objects of this bucket.
    bucket: Option<String>,
    /// Only objects whose key begins so.
    #[serde(default)]
    prefix: String,
    /// Only objects whose key ends so.
    #[serde(default)]
    suffix: String,
    /// The job's description. Its params get `object`, which names the object;
    /// its name is the object's key unless it has one.
    job: Map<String, Value>,
}

/// An object as jobs are told of it.
struct Object {
    bucket: String,
    key: String,
    details: Value,
    /// Tells one writing of the object from the next.
    sequencer: String,
}

/// Accepts a job for each object that was created and that a rule wants: the
/// first rule that does.
///
/// # Errors
///
/// If an object made no job: the others did, unless the ledger is away. The
/// event is delivered again, and jobs that were accepted already are the same
/// ones then.
pub async fn on_objects(app: &App, rules: &[Rule], event: S3Event) -> anyhow::Result<()> {
    let (mut jobs, mut wrong) = (Vec::new(), Vec::new());
    for record in event.records.iter().filter(|record| is_creation(record)) {
        match described(app, rules, record) {
            Ok(new) => jobs.extend(new),
            Err(error) => wrong.push(Err(error)),
        }
    }
    let results: Vec<_> = accept(app, jobs).await?.into_iter().chain(wrong).collect();
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        tracing::warn!(error = causes(error), "an object made no job");
    }
    results.into_iter().collect()
}

/// The job for an object, if a rule wants it.
fn described(app: &App, rules: &[Rule], record: &S3EventRecord) -> anyhow::Result<Option<NewJob>> {
    let object = created(record)?;
    let Some(rule) = rules.iter().find(|rule| rule.wants(&object)) else { return Ok(None) };
    let id = format!("{}/{}@{}", object.bucket, object.key, object.sequencer);
    read(app, rule.describe(object), "s3", &id).map(Some)
}

fn is_creation(record: &S3EventRecord) -> bool {
    record.event_name.as_deref().is_some_and(|name| name.starts_with("ObjectCreated:"))
}

impl Rule {
    fn wants(&self, object: &Object) -> bool {
        self.bucket.as_ref().is_none_or(|bucket| *bucket == object.bucket)
            && object.key.starts_with(&self.prefix)
            && object.key.ends_with(&self.suffix)
    }

    fn describe(&self, object: Object) -> Map<String, Value> {
        let mut job = self.job.clone();
        if !job.contains_key("name") {
            // A key may be longer than a name.
            let name: String = object.key.chars().take(crate::jobs::describe::NAME_LIMIT).collect();
            job.insert("name".to_owned(), Value::String(name));
        }
        let params = job.entry("params").or_insert_with(|| json!({}));
        if let Value::Object(params) = params {
            params.insert("object".to_owned(), object.details);
        }
        job
    }
}

/// The object that a record says was created.
fn created(record: &S3EventRecord) -> anyhow::Result<Object> {
    let bucket = record.s3.bucket.name.clone().context("the event names no bucket")?;
    // Keys come encoded as in a form.
    let key = record.s3.object.key.as_deref().context("the event names no object")?;
    let key = key.replace('+', " ");
    let key = percent_decode_str(&key).decode_utf8().context("the object's key is no UTF-8")?;
    let key = key.into_owned();
    let object = &record.s3.object;
    let details = json!({
        "bucket": bucket,
        "key": key,
        "size": object.size,
        "etag": object.e_tag,
        "version_id": object.version_id,
    });
    let sequencer = object.sequencer.clone().or_else(|| object.e_tag.clone()).unwrap_or_default();
    Ok(Object { bucket, key, details, sequencer })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(json: Value) -> Rule {
        serde_json::from_value(json).unwrap()
    }

    fn object(key: &str) -> Object {
        Object {
            bucket: "in".to_owned(),
            key: key.to_owned(),
            details: json!({ "key": key }),
            sequencer: "1".to_owned(),
        }
    }

    #[test]
    fn a_rule_wants_what_all_its_parts_match() {
        let rule = rule(json!({ "bucket": "in", "prefix": "a/", "suffix": ".wav", "job": {} }));
        assert!(rule.wants(&object("a/b.wav")));
        assert!(!rule.wants(&object("b/b.wav")) && !rule.wants(&object("a/b.mp3")));
        assert!(!rule.wants(&Object { bucket: "out".to_owned(), ..object("a/b.wav") }));
    }

    #[test]
    fn a_job_is_told_its_object_and_named_after_it() {
        let rule = rule(json!({ "job": { "params": { "model": "m" } } }));
        let job = rule.describe(object("a.wav"));
        assert_eq!(
            Value::Object(job),
            json!({ "name": "a.wav", "params": { "model": "m", "object": { "key": "a.wav" } } })
        );
    }

    #[test]
    fn a_mistyped_rule_is_refused() {
        assert!(serde_json::from_value::<Rule>(json!({ "prefx": "a", "job": {} })).is_err());
    }
}
