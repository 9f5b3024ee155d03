//! `jetlane lanes`: order and share.

use serde_json::{Map, Value, json};

use crate::client::Api;
use crate::output::{self, Format, table};
use crate::values;

/// The arguments of `lanes`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Make a lane, or change its policy: JSON as in the API, null takes a rule away
    Set {
        /// The lane
        lane: String,
        #[arg(
            help = r#"What to change, such as '{"max_waiting": 1000, "rate": {"per_second": 5}}'"#,
            value_name = "JSON",
            default_value = "{}",
            value_parser = values::object,
        )]
        policy: Map<String, Value>,
    },
    /// Start no more jobs of a lane
    Pause {
        /// The lane
        lane: String,
    },
    /// Start jobs of a paused lane again
    Resume {
        /// The lane
        lane: String,
    },
    /// Say how much of a lane a tenant gets against others
    Share {
        /// The lane
        lane: String,
        /// Whose share
        tenant: String,
        /// 1 to 1000; a tenant without one has 1
        #[arg(value_parser = values::number(1..=1000_u32))]
        weight: u32,
    },
    /// Say how many jobs of a concurrency key run at once
    Limit {
        /// The key
        key: String,
        /// How many; 0 holds them back
        #[arg(required_unless_present = "sequential", value_parser = values::number(0..=u32::MAX))]
        most: Option<u32>,
        /// One after the other, each only once the one before is final
        #[arg(long, conflicts_with = "most")]
        sequential: bool,
    },
}

/// Prints the lanes, or what was changed.
///
/// # Errors
///
/// If the API is out of reach or refuses.
pub(crate) async fn run(args: Args, api: Api, format: Format) -> anyhow::Result<()> {
    let changed = match args.command {
        None => {
            let lanes = api.lanes().await?;
            return match format {
                Format::Json => output::print_json(&lanes),
                Format::Text => Ok(output::print(list(&lanes))?),
            };
        }
        Some(Command::Set { lane, policy }) => api.set_lane(&lane, &Value::Object(policy)).await?,
        Some(Command::Pause { lane }) => api.move_lane(&lane, "pause").await?,
        Some(Command::Resume { lane }) => api.move_lane(&lane, "resume").await?,
        Some(Command::Share { lane, tenant, weight }) => {
            api.set_share(&lane, &tenant, weight).await?
        }
        Some(Command::Limit { key, most, sequential }) => {
            let body =
                if sequential { json!({ "sequential": true }) } else { json!({ "limit": most }) };
            let limit = api.limit_concurrency(&key, &body).await?;
            return match format {
                Format::Json => output::print_json(&limit),
                Format::Text => Ok(output::print(format_args!("{key}: {limit}"))?),
            };
        }
    };
    match format {
        Format::Json => output::print_json(&changed),
        Format::Text => Ok(output::print(list(&[changed]))?),
    }
}

fn list(lanes: &[Value]) -> String {
    let rows: Vec<_> = lanes
        .iter()
        .map(|lane| {
            let rule = |name: &str| match &lane[name] {
                Value::Null => "-".to_owned(),
                Value::String(text) => text.clone(),
                Value::Object(fields) if fields.is_empty() => "-".to_owned(),
                Value::Array(items) if items.is_empty() => "-".to_owned(),
                other => other.to_string(),
            };
            let state = if lane["paused_at"].is_null() { "open" } else { "paused" };
            [
                rule("name"),
                state.to_owned(),
                rule("max_waiting"),
                rule("rate"),
                rule("ageing"),
                rule("max_attempts"),
                rule("retry"),
                rule("shares"),
            ]
        })
        .collect();
    table(
        ["LANE", "STATE", "MAX WAITING", "RATE", "AGEING", "MAX ATTEMPTS", "RETRY", "SHARES"],
        &rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_shows_the_rules_that_it_has() {
        let lane = json!({
            "name": "gpu", "paused_at": null, "max_waiting": 1000, "rate": null, "ageing": 60,
            "max_attempts": null, "retry": {}, "shares": [],
        });
        assert_eq!(
            list(&[lane]),
            "\
LANE  STATE  MAX WAITING  RATE  AGEING  MAX ATTEMPTS  RETRY  SHARES
gpu   open   1000         -     60      -             -      -"
        );
    }
}
