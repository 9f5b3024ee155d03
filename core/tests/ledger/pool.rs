use futures_util::FutureExt;
use jetlane_core::store::connect;
use sqlx::{Connection, Row};

use crate::given::{given_a_ledger, settings};

/// A dropped `begin` leaves a transaction that the client does not know of.
/// Without the pool's guard, about one borrower in twenty gets it.
#[tokio::test]
async fn a_cancelled_begin_leaves_no_transaction_to_the_next_borrower() {
    let given = given_a_ledger().await;
    let pool = connect(&settings(&given.url, 1)).await.unwrap();

    for _ in 0..200 {
        let mut connection = pool.acquire().await.unwrap();
        // One poll sends BEGIN; dropping the future forgets the answer.
        let _ = connection.begin().now_or_never();
        drop(connection);

        // As text: a prepared statement begins its transaction before its query.
        let row = sqlx::raw_sql(
            "SELECT xact_start >= query_start FROM pg_stat_activity WHERE pid = pg_backend_pid()",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        assert!(
            row.get::<bool, _>(0),
            "the next borrower was inside a transaction it did not begin"
        );
    }
}
