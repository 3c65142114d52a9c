//! The truth of an order service that was not written here, as the query of its file tells it. It is read
//! as a role that may do nothing but read. Whatever is not three columns of this run's own ids, each
//! version of an order once and none left out, leaves the truth unread: that is unknown, and nobody's
//! offence.

use super::fence::connect;
use crate::history::{Request, Rows, TruthRow};
use crate::identity::Identity;
use futures::TryStreamExt;
use relays::config::PostgresTarget;
use relays::postgres::schema::{line_of, words};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Column, Executor, Row, SqlSafeStr, Statement, TypeInfo};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// A server that is just recovering gets so long.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Each attempt makes one version. A query that gives so many rows for each, and some, gives others.
const ROWS_PER_ATTEMPT_MAX: usize = 4;
const ROWS_BESIDE_MAX: usize = 1_000;
/// What the columns are, in their order, with their types as the server names them.
const COLUMNS: [(&str, &[&str], &str); 3] = [
    ("the order's id", IDS, "order_id::text"),
    ("the version", INTEGERS, "version::int"),
    ("the attempt", IDS, "attempt::text"),
];
const IDS: &[&str] = &["UUID", "TEXT", "VARCHAR", "CHAR"];
const INTEGERS: &[&str] = &["INT2", "INT4", "INT8"];

/// A query that tells what an order service committed.
#[derive(Debug, Clone)]
pub struct TruthQuery {
    /// As the role that may only read.
    pub reader: PostgresTarget,
    /// This is the SQL, its placeholders filled in.
    pub query: String,
    /// Where it stands, `FILE:LINE`.
    pub place: String,
}

/// A row as the server gives it; ids are cut to a length that no id has.
type Texts = (Option<String>, Option<i64>, Option<String>);

impl TruthQuery {
    /// Asks once, before there is anything to tell: a query that cannot be asked now cannot be asked at
    /// the end.
    pub async fn try_out(&self, within: Duration) -> Result<(), String> {
        let mut connection = self.open(within).await?;
        self.check_columns(&mut connection).await?;
        let sql = format!("{} LIMIT 1", self.wrapped());
        let row = sqlx::query_as::<_, Texts>(AssertSqlSafe(sql)).fetch_optional(&mut connection);
        match row.await.map_err(|e| self.wrong(&words(&e)))? {
            None => Ok(()),
            Some((order, version, attempt)) => Err(self.wrong(&format!(
                "it gives order {}, version {}, attempt {} before any order was placed; leave out \
                 what is there from the start",
                shown(order.as_deref()),
                version.map_or_else(|| "null".to_owned(), |v| v.to_string()),
                shown(attempt.as_deref()),
            ))),
        }
    }

    /// Everything that is committed, by order and version. `requests`: all that was asked for.
    pub async fn read(
        &self,
        identity: &Identity,
        requests: &Rows<Request>,
        within: Duration,
    ) -> Result<Vec<TruthRow>, String> {
        let mut connection = self.open(within).await?;
        self.check_columns(&mut connection).await?;
        let most = requests.len() * ROWS_PER_ATTEMPT_MAX + ROWS_BESIDE_MAX;
        let mut rows: Vec<TruthRow> = Vec::new();
        let query = AssertSqlSafe(self.wrapped());
        let mut stream = sqlx::query(query).fetch(&mut connection);
        let failed = |e: sqlx::Error| self.wrong(&words(&e));
        while let Some(row) = stream.try_next().await.map_err(failed)? {
            if rows.len() == most {
                return Err(self.wrong(&format!(
                    "it gives more than {most} rows, and only {} attempts were made: does a join \
                     repeat them?",
                    requests.len()
                )));
            }
            let texts = (
                row.try_get(0).map_err(failed)?,
                row.try_get(1).map_err(failed)?,
                row.try_get(2).map_err(failed)?,
            );
            let row = truth_row(texts, identity, requests).map_err(|what| self.wrong(&what))?;
            rows.push(row);
        }
        rows.sort_unstable_by_key(|row| (row.order, row.version));
        match out_of_place(&rows) {
            None => Ok(rows),
            Some((order, what)) => {
                let order = identity.order_id(order);
                Err(self.wrong(&format!("of order {order} it gives {what}")))
            }
        }
    }

    async fn open(&self, within: Duration) -> Result<PgConnection, String> {
        let mut connection = connect(&self.reader, Instant::now() + CONNECT_WITHIN).await?;
        let bounded = format!(
            "SET default_transaction_read_only = on; SET statement_timeout = {}",
            within.as_millis().max(1)
        );
        let set = connection.execute(AssertSqlSafe(bounded)).await;
        set.map_err(|e| format!("bounding the query of [truth]: {e}"))?;
        Ok(connection)
    }

    /// Without a semicolon at its end, which would be in the middle of ours.
    fn query(&self) -> &str {
        self.query.trim_end().trim_end_matches(';')
    }

    /// Whatever the types of the ids, and however long they are. A comment may be the query's end.
    fn wrapped(&self) -> String {
        format!(
            "SELECT left(told.o::text, 64), told.v::int8, left(told.a::text, 64) FROM ({}\n) \
             AS told(o, v, a)",
            self.query()
        )
    }

    async fn check_columns(&self, connection: &mut PgConnection) -> Result<(), String> {
        let query = self.query();
        let sql = AssertSqlSafe(query.to_owned()).into_sql_str();
        let prepared = connection.prepare(sql).await.map_err(|e| {
            let line = line_of(query, &e).filter(|_| query.contains('\n'));
            let line = line.map_or_else(String::new, |line| format!("in its line {line}, "));
            self.wrong(&format!("{line}{}", words(&e)))
        })?;
        let given: Vec<(&str, &str)> = prepared
            .columns()
            .iter()
            .map(|column| (column.name(), column.type_info().name()))
            .collect();
        match mistaken(&given) {
            None => Ok(()),
            Some(what) => Err(self.wrong(&what)),
        }
    }

    fn wrong(&self, what: &str) -> String {
        format!("{}: `query` of [truth]: {what}", self.place)
    }
}

/// What is wrong with columns of these names and types, if anything.
fn mistaken(given: &[(&str, &str)]) -> Option<String> {
    if given.len() != COLUMNS.len() {
        return Some(format!(
            "it gives {} columns; it must give three: the order's id, the version, the attempt",
            given.len()
        ));
    }
    let mut both = given.iter().zip(COLUMNS);
    both.find_map(|((name, kind), (what, kinds, cast))| {
        let fits = kinds.contains(kind);
        (!fits).then(|| {
            format!(
                "its column `{name}` must be {what}, and is of type {}: cast it, as in `{cast}`",
                kind.to_lowercase()
            )
        })
    })
}

/// Returns a row with the numbers that its ids stand for; an Err says what in it cannot be of this run.
fn truth_row(
    (order, version, attempt): Texts,
    identity: &Identity,
    requests: &Rows<Request>,
) -> Result<TruthRow, String> {
    let number = |text: Option<&str>, what: &str, number: &dyn Fn(Uuid) -> Option<u32>| {
        let id = text.and_then(|text| Uuid::try_parse(text).ok());
        id.and_then(number).ok_or_else(|| {
            format!(
                "it gives {} as {what}, which is none of this run",
                shown(text)
            )
        })
    };
    let order_index = number(order.as_deref(), "an order's id", &|id| {
        identity.order_index(id)
    })?;
    let attempt = number(attempt.as_deref(), "an attempt", &|id| {
        identity.attempt_number(id)
    })?;
    let request = requests
        .get(attempt as usize)
        .ok_or_else(|| format!("it gives attempt number {attempt}, which was never made"))?;
    let version = version
        .and_then(|version| u32::try_from(version).ok())
        .filter(|version| *version > 0)
        .ok_or_else(|| {
            let version = version.map_or_else(|| "null".to_owned(), |v| v.to_string());
            format!("it gives {version} as a version: the first of an order is 1")
        })?;
    Ok(TruthRow {
        order: order_index,
        version,
        attempt,
        // It is for the attempt's request to say: the query tells no more of it.
        change: request.change,
    })
}

/// The first version, by order and version, that cannot be where it is, with its order.
fn out_of_place(rows: &[TruthRow]) -> Option<(u32, String)> {
    let mut before: Option<&TruthRow> = None;
    rows.iter().find_map(|row| {
        let last = before.replace(row).filter(|last| last.order == row.order);
        let expected = last.map_or(1, |last| last.version.saturating_add(1));
        let what = match row.version {
            version if version == expected => return None,
            version if version < expected => format!("version {version} twice"),
            version => format!(
                "version {version} and no version {expected}: versions count 1, 2, 3, one for each \
                 committed change"
            ),
        };
        Some((row.order, what))
    })
}

fn shown(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_owned(), |text| format!("`{text}`"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::checkers::fixture::clean;
    use crate::scenario::StrategyKind;

    fn row(order: u32, version: u32) -> TruthRow {
        TruthRow {
            order,
            version,
            attempt: 0,
            change: 0,
        }
    }

    #[test]
    fn given_versions_that_count_up_then_none_is_out_of_place() {
        assert_eq!(out_of_place(&[]), None);
        assert_eq!(out_of_place(&[row(0, 1), row(0, 2), row(3, 1)]), None);
    }

    #[test]
    fn given_a_version_that_is_left_out_or_there_twice_then_it_is_found_with_its_order() {
        for (rows, order, told) in [
            (vec![row(0, 1), row(2, 2)], 2, "version 2 and no version 1"),
            (vec![row(4, 1), row(4, 3)], 4, "version 3 and no version 2"),
            (vec![row(4, 1), row(4, 1)], 4, "version 1 twice"),
        ] {
            let (found, what) = out_of_place(&rows).unwrap();
            assert_eq!(found, order);
            assert!(what.starts_with(told), "{what}");
        }
    }

    #[test]
    fn given_columns_that_do_not_fit_then_the_first_is_named_with_its_remedy() {
        let good = [("order_id", "UUID"), ("n", "INT8"), ("attempt", "TEXT")];
        assert_eq!(mistaken(&good), None);
        let two = mistaken(&good[..2]).unwrap();
        assert!(two.contains("gives 2 columns"), "{two}");
        let text = mistaken(&[good[0], ("n", "TEXT"), good[2]]).unwrap();
        assert!(text.contains("`n` must be the version"), "{text}");
        assert!(
            text.contains("type text") && text.contains("version::int"),
            "{text}"
        );
        let number = mistaken(&[("id", "INT8"), good[1], good[2]]).unwrap();
        assert!(number.contains("`id` must be the order's id"), "{number}");
    }

    #[test]
    fn given_a_row_then_its_ids_are_those_of_the_run_or_it_says_which_is_not() {
        let history = clean(4, StrategyKind::Cdc {});
        let identity = history.meta.key.identity().unwrap();
        let read = |order: &str, version: i64, attempt: &str| {
            let texts = (
                Some(order.to_owned()),
                Some(version),
                Some(attempt.to_owned()),
            );
            truth_row(texts, &identity, &history.requests)
        };
        let (order, attempt) = (identity.order_id(1), identity.attempt_id(2));
        let (order, attempt) = (order.to_string(), attempt.to_string());
        let found = read(&order.to_uppercase(), 7, &attempt).unwrap();
        assert_eq!((found.order, found.version, found.attempt), (1, 7, 2));
        assert_eq!(found.change, history.requests.at(2).change);
        let never = identity.attempt_id(1_000_000).to_string();
        for (wrong, told) in [
            (read("7", 1, &attempt), "`7` as an order's id"),
            (read(&attempt, 1, &attempt), "as an order's id"),
            (read(&order, 1, &order), "as an attempt"),
            (read(&order, 1, &never), "which was never made"),
            (read(&order, 0, &attempt), "0 as a version"),
            (read(&order, -1, &attempt), "-1 as a version"),
            (read(&order, 1 << 40, &attempt), "as a version"),
            (
                truth_row((None, None, None), &identity, &history.requests),
                "null as an order's id",
            ),
        ] {
            let what = wrong.unwrap_err();
            assert!(what.contains(told), "{what}");
        }
    }
}
