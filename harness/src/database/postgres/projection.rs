//! A projection: the orders as they are, built anew from events that are the truth. How long that takes is a figure
//! of a run, and what comes of it must be what the events say.

use crate::database::versions::versions;
use crate::history::{Rows, TruthRow};
use crate::identity::Identity;
use futures::TryStreamExt;
use relays::postgres::schema::{Layout, quote_identifier};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor, Row};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What was built, and how long that took.
#[derive(Debug)]
pub struct Projection {
    /// From the statement that folds the events into an empty table until its answer.
    pub took: Duration,
    /// The versions of each order by their place in it, in no order.
    pub rows: Vec<TruthRow>,
}

/// Folds the events of a schema into an empty table `projection` beside them, and reads what is in it.
pub async fn rebuild(
    connection: &mut PgConnection,
    layout: &Layout,
    identity: &Identity,
) -> Result<Projection, sqlx::Error> {
    let schema = quote_identifier(layout.schema());
    let table = format!(
        "create table {schema}.projection (
           id uuid primary key, state text not null, attempts uuid[] not null, changes uuid[] not null
         )"
    );
    let fold = format!(
        "insert into {schema}.projection (id, state, attempts, changes)
         select aggregateid,
                (array_agg(state order by version desc) filter (where state is not null))[1],
                array_agg(attempt order by version),
                array_agg(change_id order by version)
         from {schema}.events group by aggregateid"
    );
    connection.execute(AssertSqlSafe(table)).await?;
    let began = Instant::now();
    connection.execute(AssertSqlSafe(fold)).await?;
    let took = began.elapsed();
    let sql = format!("select id, attempts, changes from {schema}.projection");
    let mut stream = sqlx::query(AssertSqlSafe(sql)).fetch(connection);
    let mut rows = Vec::new();
    while let Some(row) = stream.try_next().await? {
        let (id, attempts): (Uuid, Vec<Uuid>) = (row.try_get(0)?, row.try_get(1)?);
        let changes: Vec<Uuid> = row.try_get(2)?;
        rows.extend(versions(identity, id, &attempts, &changes));
    }
    Ok(Projection { took, rows })
}

/// In what the versions of a projection differ from the truth, which is by order and version; `None`: in nothing.
pub fn difference(truth: &Rows<TruthRow>, mut projected: Vec<TruthRow>) -> Option<String> {
    projected.sort_unstable_by_key(|row| (row.order, row.version));
    if truth.len() != projected.len() {
        return Some(format!(
            "it has {} versions, and there are {} events",
            projected.len(),
            truth.len()
        ));
    }
    let mut both = truth.iter().zip(projected);
    both.find_map(|(event, row)| {
        (event != row).then(|| {
            format!(
                "it has order {} at version {} by attempt {}, where the events have order {} at version {} by \
                 attempt {}",
                row.order, row.version, row.attempt, event.order, event.version, event.attempt
            )
        })
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn row((order, version, attempt): (u32, u32, u32)) -> TruthRow {
        TruthRow {
            order,
            version,
            attempt,
            change: attempt,
        }
    }

    #[test]
    fn given_an_order_with_a_gap_in_its_versions_then_its_projection_differs() {
        let truth: Rows<TruthRow> = [(4, 1, 0), (4, 3, 1)].map(row).into_iter().collect();
        let projected = [(4, 1, 0), (4, 2, 1)].map(row).to_vec();
        let said = difference(&truth, projected).unwrap();
        assert!(said.contains("order 4 at version 2 by attempt 1"), "{said}");
        assert!(said.contains("order 4 at version 3"), "{said}");
    }

    proptest! {
        /// Against sets, which know no order: it differs where one has what the other has not.
        #[test]
        fn given_any_truth_and_any_projection_then_they_differ_as_their_sets_do(
            truth in proptest::collection::btree_set((0_u32..3, 1_u32..3, 0_u32..3), 0..6),
            projected in proptest::collection::btree_set((0_u32..3, 1_u32..3, 0_u32..3), 0..6),
            same in any::<bool>(),
        ) {
            // Each version of an order once, as in a table with that key.
            let keyed = |rows: BTreeSet<(u32, u32, u32)>| {
                let mut keys = BTreeSet::new();
                let rows: Vec<_> = rows.into_iter().filter(|r| keys.insert((r.0, r.1))).collect();
                rows
            };
            let truth = keyed(truth);
            let projected = if same { truth.iter().rev().copied().collect() } else { keyed(projected) };
            let sets_differ = truth.iter().collect::<BTreeSet<_>>() != projected.iter().collect();
            let rows: Rows<TruthRow> = truth.iter().copied().map(row).collect();
            let found = difference(&rows, projected.iter().copied().map(row).collect());
            prop_assert_eq!(found.is_some(), sets_differ);
        }
    }
}
