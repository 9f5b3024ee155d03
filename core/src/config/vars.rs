//! Variables as text, and reading them as what they are.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use crate::store::Retention;
use crate::telemetry::LogFormat;

/// Why the configuration is not usable. The process must not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A variable that has no default is not set.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// A variable does not say what it should.
    #[error("{name} is `{value}`: {reason}")]
    Invalid {
        /// Which.
        name: &'static str,
        /// What it says.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file `.env` cannot be read. Its text is not repeated: it may hold a password.
    #[error("cannot read .env: {0}")]
    DotEnv(String),
}

/// For how many days things can be kept: a century.
const MOST_DAYS: u32 = 36_500;

/// More connections than any server allows.
const MOST_CONNECTIONS: u32 = 10_000;

/// Longer than any process lives.
const NEVER: Duration = Duration::from_hours(365 * 24);

/// Variables by name, without regard to case.
#[derive(Clone, Debug, Default)]
pub struct Vars(HashMap<String, String>);

impl<N: AsRef<str>, V: Into<String>> FromIterator<(N, V)> for Vars {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(vars: T) -> Self {
        Self(
            vars.into_iter()
                .map(|(name, value)| (name.as_ref().to_ascii_uppercase(), value.into()))
                .collect(),
        )
    }
}

impl Vars {
    /// The environment of this process, over the file `.env` if there is one.
    ///
    /// # Errors
    ///
    /// [`ConfigError::DotEnv`] if there is one and it cannot be read.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let mut vars = Self::from_file(Path::new(".env"))?;
        // Text that is no Unicode cannot be the value of a variable of ours.
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        vars.0.extend(environment.collect::<Self>().0);
        Ok(vars)
    }

    /// The variables of a file of `NAME=value` lines; none if there is no such file.
    fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let lines = match dotenvy::from_path_iter(path) {
            Ok(lines) => lines,
            Err(error) if error.not_found() => return Ok(Self::default()),
            Err(error) => return Err(ConfigError::DotEnv(error.to_string())),
        };
        let mut vars = Self::default();
        for (number, line) in (1..).zip(lines) {
            let (name, value) = line.map_err(|_| {
                let rule = "is no NAME=value, with quotes around a value that has spaces";
                ConfigError::DotEnv(format!("entry {number} {rule}"))
            })?;
            vars.0.insert(name.to_ascii_uppercase(), value);
        }
        Ok(vars)
    }

    /// The variable's text; an empty one counts as not set.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Reads a whole number of `range`.
    pub(super) fn number<T>(
        &self,
        name: &'static str,
        default: T,
        range: RangeInclusive<T>,
    ) -> Result<T, ConfigError>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.text(name) else {
            return Ok(default);
        };
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            invalid(name, text, format_args!("use a whole number from {least} to {most}"))
        })
    }

    /// Reads `true` or `false`.
    pub(super) fn flag(&self, name: &'static str, default: bool) -> Result<bool, ConfigError> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| invalid(name, text, "use true or false")),
        }
    }

    /// Reads a share, 0 to 1.
    pub(super) fn share(&self, name: &'static str, default: f64) -> Result<f64, ConfigError> {
        let Some(text) = self.text(name) else {
            return Ok(default);
        };
        let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
        share.ok_or_else(|| invalid(name, text, "use 0 to 1"))
    }

    pub(super) fn list<T>(&self, name: &'static str, default: &str) -> Result<Vec<T>, ConfigError>
    where
        T: FromStr<Err: Display>,
    {
        self.text(name)
            .unwrap_or(default)
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().map_err(|error: T::Err| invalid(name, part, error)))
            .collect()
    }

    /// Reads a number of seconds, such as `5` or `0.25`.
    pub(super) fn seconds(
        &self,
        name: &'static str,
        default: Duration,
    ) -> Result<Duration, ConfigError> {
        let Some(text) = self.text(name) else {
            return Ok(default);
        };
        let seconds =
            text.parse().ok().filter(|seconds| (0.0..=NEVER.as_secs_f64()).contains(seconds));
        let seconds = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        seconds.ok_or_else(|| invalid(name, text, "use seconds, such as 5 or 0.25, up to a year"))
    }

    /// Reads the seconds between two rounds; 0 means never.
    pub(super) fn period(
        &self,
        name: &'static str,
        default: Duration,
    ) -> Result<Duration, ConfigError> {
        let period = self.seconds(name, default)?;
        Ok(if period.is_zero() { NEVER } else { period })
    }

    /// Reads how many days things are kept.
    pub(super) fn retention(&self) -> Result<Retention, ConfigError> {
        let days = |name, default: u32| {
            let days = self.number(name, default, 1..=MOST_DAYS)?;
            Ok(Duration::from_hours(24 * u64::from(days)))
        };
        let jobs = days("KEEP_JOBS_DAYS", 30)?;
        let dead_letters = days("KEEP_DEAD_LETTERS_DAYS", 90)?;
        Ok(Retention {
            jobs,
            dead_letters,
            events: days("KEEP_EVENTS_DAYS", 30)?,
            // A promise to whoever sends a key: not to be shortened.
            idempotency_keys: Duration::from_hours(24 * 7),
            workers: Duration::from_hours(1),
        })
    }

    /// The ledger's address, in a spelling that our client understands.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if it is missing or no address of a PostgreSQL; the value is not repeated.
    pub fn database_url(&self) -> Result<String, ConfigError> {
        const NAME: &str = "DATABASE_URL";

        let url = self.text(NAME).ok_or(ConfigError::Missing(NAME))?;
        let url = url.replacen("postgresql+psycopg2://", "postgresql://", 1);
        if url.starts_with("postgresql://") || url.starts_with("postgres://") {
            Ok(url)
        } else {
            // Not the value: it may hold a password.
            Err(invalid(NAME, "…", "it must begin with postgresql://"))
        }
    }

    pub(super) fn database_max_connections(&self, default: u32) -> Result<u32, ConfigError> {
        self.number("DATABASE_MAX_CONNECTIONS", default, 1..=MOST_CONNECTIONS)
    }

    pub(super) fn nats_url(&self) -> String {
        self.text("NATS_URL").unwrap_or("nats://localhost:4222").to_owned()
    }

    /// What logs are let through, and how they are written.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] for an unknown format.
    pub fn log(&self) -> Result<(String, LogFormat), ConfigError> {
        const NAME: &str = "LOG_FORMAT";

        let format = match self.text(NAME) {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => return Err(invalid(NAME, other, "use text or json")),
        };
        // sqlx warns of each slow statement with its text: the ledger's own
        // statement time-out is the bound that counts.
        Ok((self.text("LOG").unwrap_or("info,async_nats=warn,sqlx=error").to_owned(), format))
    }
}

pub(super) fn invalid(name: &'static str, value: &str, reason: impl Display) -> ConfigError {
    ConfigError::Invalid { name, value: value.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched_without_regard_to_case() {
        let vars = Vars::from_iter([("nats_url", "nats://elsewhere:1")]);
        assert_eq!(vars.nats_url(), "nats://elsewhere:1");
    }

    #[test]
    fn both_spellings_of_the_database_url_are_accepted() {
        let vars = Vars::from_iter([("DATABASE_URL", "postgresql+psycopg2://u@h/d")]);
        assert_eq!(vars.database_url().unwrap(), "postgresql://u@h/d");
    }

    #[test]
    fn a_bad_database_url_is_not_repeated() {
        let vars = Vars::from_iter([("DATABASE_URL", "mysql://user:secret@host/d")]);
        assert!(!vars.database_url().unwrap_err().to_string().contains("secret"));
    }

    #[test]
    fn a_number_that_is_none_is_answered_with_what_is_allowed() {
        for text in ["abc", "70000", "-1", "8e3"] {
            let vars = Vars::from_iter([("PORT", text)]);
            let error = vars.number::<u16>("PORT", 8000, 0..=u16::MAX).unwrap_err().to_string();
            assert_eq!(error, format!("PORT is `{text}`: use a whole number from 0 to 65535"));
        }
        let none = Vars::from_iter([("DATABASE_MAX_CONNECTIONS", "0")]);
        assert!(none.database_max_connections(10).is_err());
    }

    #[test]
    fn what_a_file_says_wrongly_is_not_repeated() {
        let path = std::env::temp_dir().join(format!("jetlane-env-{}", uuid::Uuid::now_v7()));
        std::fs::write(&path, "# one\nA=1\nDATABASE_URL=postgresql://u:my secret@h/d\n").unwrap();

        let read = Vars::from_file(&path);

        std::fs::remove_file(&path).unwrap();
        let error = read.unwrap_err().to_string();
        assert!(error.starts_with("cannot read .env: entry 2 is no NAME=value"), "{error}");
        assert_eq!(Vars::from_file(&path).unwrap().text("A"), None);
    }

    #[test]
    fn seconds_may_have_a_fraction_and_no_sign() {
        let vars = Vars::from_iter([("A", "0.25"), ("B", "-1"), ("C", "soon")]);
        assert_eq!(vars.seconds("A", Duration::ZERO), Ok(Duration::from_millis(250)));
        assert!(vars.seconds("B", Duration::ZERO).is_err());
        assert!(vars.seconds("C", Duration::ZERO).is_err());
        assert_eq!(vars.seconds("D", Duration::from_secs(7)), Ok(Duration::from_secs(7)));
    }
}
