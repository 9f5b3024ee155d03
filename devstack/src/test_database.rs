//! A database of its own for each test.

use std::sync::{Arc, Weak};
use std::thread;

use tokio::sync::Mutex;
use uuid::Uuid;

use crate::error::DevstackError;
use crate::folder::Data;
use crate::postgres::Postgres;
use crate::settings::Settings;
use crate::sql::drop_database;

/// The process's server for tests. Its guard ends it with the process.
///
/// The lock is held across awaits because callers must wait for the first one's server and
/// template; it is tokio's, which serves tasks of several runtimes.
static SHARED: Mutex<Option<Shared>> = Mutex::const_new(None);

/// A database that nobody else uses. On a server that was given, dropping it drops the database,
/// and blocks meanwhile; a server of our own goes with the process.
#[derive(Debug)]
pub struct TestDatabase {
    /// Where to connect.
    pub url: String,
    _database: Scratch,
    /// Keeps the template for the next one.
    _template: Arc<Scratch>,
}

/// A new database on this process's PostgreSQL, which the environment decides on and the first call
/// brings up; a copy of a template that `prepare` has filled.
///
/// `prepare` gets the URL of the template and must have closed its connections when it is done. It
/// is called once for each process, or, on a server that was given, each time that no
/// [`TestDatabase`] was left: the template is dropped with the last of them. So all calls in a
/// process must prepare the same.
///
/// # Errors
///
/// As [`Postgres::start`], [`DevstackError::Prepare`] with what `prepare` returned, or
/// [`DevstackError::Sql`]. The next call tries again.
pub async fn database<F, Fut>(prepare: F) -> Result<TestDatabase, DevstackError>
where
    F: FnOnce(String) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let mut shared = SHARED.lock().await;
    let shared = match &mut *shared {
        Some(shared) => shared,
        none => {
            let server = Postgres::start(&Settings::from_env()?, &Data::Temporary).await?;
            none.insert(Shared::new(server))
        }
    };
    shared.database(prepare).await
}

/// A server, and the template on it.
#[derive(Debug)]
struct Shared {
    server: Postgres,
    template: Weak<Scratch>,
    /// The template again, so that it stays: on a server of our own.
    kept: Option<Arc<Scratch>>,
}

impl Shared {
    fn new(server: Postgres) -> Self {
        Self { server, template: Weak::new(), kept: None }
    }

    async fn database<F, Fut>(&mut self, prepare: F) -> Result<TestDatabase, DevstackError>
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = anyhow::Result<()>>,
    {
        let template = match self.template.upgrade() {
            Some(template) => template,
            None => self.new_template(prepare).await?,
        };
        let database = self.scratch("jetlane_test");
        self.server.copy_database(&template.name, &database.name).await?;

        let url = self.server.url(&database.name);
        Ok(TestDatabase { url, _database: database, _template: template })
    }

    async fn new_template<F, Fut>(&mut self, prepare: F) -> Result<Arc<Scratch>, DevstackError>
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = anyhow::Result<()>>,
    {
        let template = Arc::new(self.scratch("jetlane_template"));
        self.server.create_database(&template.name).await?;
        prepare(self.server.url(&template.name)).await.map_err(DevstackError::Prepare)?;

        self.template = Arc::downgrade(&template);
        self.kept = self.server.is_own().then(|| Arc::clone(&template));
        Ok(template)
    }

    /// A name for a database that is about to be made. No other process comes up with it.
    fn scratch(&self, prefix: &str) -> Scratch {
        let drop_at = (!self.server.is_own()).then(|| self.server.admin_url().to_owned());
        Scratch { name: format!("{prefix}_{}", Uuid::now_v7().simple()), drop_at }
    }
}

/// A database that is ours to drop, made or about to be.
#[derive(Debug)]
struct Scratch {
    name: String,
    /// The server to drop it from, unless it goes with the server.
    drop_at: Option<String>,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Some(admin_url) = self.drop_at.take() else { return };
        let name = std::mem::take(&mut self.name);

        // A thread of its own, because we may be inside a runtime, which must not be blocked on.
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(drop_database(&admin_url, &name))?;
            anyhow::Ok(())
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("{error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, PgConnection};

    use super::*;
    use crate::settings::Source;

    async fn databases_of_ours(url: &str) -> i64 {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let count = "SELECT count(*) FROM pg_database WHERE datname LIKE 'jetlane%'";
        sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap()
    }

    #[tokio::test]
    async fn a_given_server_is_left_as_it_was() {
        let mut settings = Settings::from_env().unwrap().without_given();
        let host = Postgres::start(&settings, &Data::Temporary).await.unwrap();
        settings.sources = vec![Source::Url];
        settings.database_url = Some(host.admin_url().replace("postgresql", "postgresql+psycopg2"));
        let given = Postgres::start(&settings, &Data::Temporary).await.unwrap();
        assert!(!given.is_own());

        let mut shared = Shared::new(given);
        let first = shared.database(async |_| Ok(())).await.unwrap();
        let second = shared.database(async |_| panic!("prepared twice")).await.unwrap();
        assert_eq!(databases_of_ours(&first.url).await, 3);
        drop((first, second));

        assert_eq!(databases_of_ours(host.admin_url()).await, 0);
        host.stop().await.unwrap();
    }

    #[tokio::test]
    async fn a_template_that_could_not_be_filled_is_not_used() {
        let settings = Settings::from_env().unwrap().without_given();
        let server = Postgres::start(&settings, &Data::Temporary).await.unwrap();
        let mut shared = Shared::new(server);

        let failed = shared.database(async |_| anyhow::bail!("half done")).await;
        assert!(matches!(failed, Err(DevstackError::Prepare(_))), "{failed:?}");

        let mut prepared = false;
        let fill = async |_| {
            prepared = true;
            Ok(())
        };
        shared.database(fill).await.unwrap();
        assert!(prepared);
    }
}
