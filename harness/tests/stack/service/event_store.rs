//! The order service where events are the truth: what it appends, what it answers, and what is folded from it.

use super::changes::TwoVersions;
use super::committed;
use super::given::{Given, admin, event_text, events, eventually, placing, transition};
use harness::database::postgres::projection;
use harness::identity::RunKey;
use relays::order::{ChangeRequest, ChangeType, Directive, OrderState};
use reqwest::StatusCode;
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

#[tokio::test]
async fn given_events_that_are_the_truth_when_changes_commit_are_vetoed_or_repeated_then_each_commit_is_one_event()
 {
    events()
        .run(|given| async move {
            // Given changes of an order, of which some commit
            let sent = TwoVersions::send(&given).await;
            // Then there is an event of each version, and of nothing else, and no order beside them
            let rows = given.rows("select * from $S.events order by seq").await;
            assert_eq!(rows.len(), 2);
            for (version, (row, change)) in (1_u32..).zip(rows.iter().zip([&sent.place, &sent.pay]))
            {
                let kind = ChangeType::for_version(version);
                assert_eq!(row.get::<Uuid, _>("aggregateid"), sent.order);
                assert_eq!(row.get::<i32, _>("version").cast_unsigned(), version);
                assert_eq!(row.get::<&str, _>("type"), kind.event_type());
                assert_eq!(row.get::<Uuid, _>("attempt"), change.attempt);
                assert_eq!(row.get::<Uuid, _>("change_id"), change.change_id);
                let text = event_text(sent.order, version, change);
                assert_eq!(row.get::<&str, _>("payload"), text);
            }
            let tables =
                "select relname::text from pg_class where relnamespace = '$S'::regnamespace
                          and relkind = 'r' order by 1";
            let tables = given.rows(tables).await;
            let tables: Vec<&str> = tables.iter().map(|row| row.get(0)).collect();
            assert_eq!(tables, ["events", "relay_position"]);
        })
        .await;
}

#[tokio::test]
async fn given_a_version_that_another_writer_has_appended_when_it_commits_then_the_change_that_waited_takes_the_next()
 {
    events()
        .run(|given| async move {
            // Given a writer whose event is appended and not committed
            let order = Uuid::new_v4();
            given.change(order, &placing(order)).await;
            let schema = given.layout.schema();
            let append = format!(
                "begin; insert into \"{schema}\".events (aggregateid, version, id, type, attempt, change_id, payload)
                 select '{order}', 2, i, 't', i, i, '{{}}' from gen_random_uuid() i"
            );
            let mut first = admin().await;
            sqlx::raw_sql(AssertSqlSafe(append)).execute(&mut first).await.unwrap();

            // When the service takes the same place
            let second = tokio::spawn({
                let given = Arc::clone(&given);
                let change = transition(ChangeType::Amended);
                async move { given.change(order, &change).await }
            });
            let role = given.layout.service_role();
            let waiting = format!(
                "select 1 from pg_stat_activity where usename = '{role}' and wait_event_type = 'Lock'"
            );
            eventually("it waits for what becomes of the place", || async {
                given.rows(&waiting).await.len() == 1
            })
            .await;
            sqlx::raw_sql("commit").execute(&mut first).await.unwrap();

            // Then it takes the next one, and so is their order for who reads by position
            assert_eq!(second.await.unwrap().1, committed(3));
            let rows = given
                .rows("select version from $S.events order by xid, seq")
                .await;
            let versions: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
            assert_eq!(versions, [1, 2, 3]);
        })
        .await;
}

/// An order as the slow, obvious way has it: by going through what was committed, one after the other.
#[derive(Debug, Default, PartialEq)]
struct OrderModel {
    state: Option<OrderState>,
    attempts: Vec<Uuid>,
}

impl OrderModel {
    /// What the service must answer to a change, and what becomes of the order.
    fn take(&mut self, kind: ChangeType, change: &ChangeRequest) -> StatusCode {
        if !kind.allowed_in(self.state) {
            return match (kind, self.state) {
                (ChangeType::Placed, _) | (_, Some(_)) => StatusCode::CONFLICT,
                (_, None) => StatusCode::NOT_FOUND,
            };
        }
        if change.directive == Directive::Veto {
            return StatusCode::UNPROCESSABLE_ENTITY;
        }
        self.state = kind.next_state().or(self.state);
        self.attempts.push(change.attempt);
        match kind {
            ChangeType::Placed => StatusCode::CREATED,
            ChangeType::Paid
            | ChangeType::Shipped
            | ChangeType::Delivered
            | ChangeType::Amended => StatusCode::OK,
        }
    }
}

/// Numbers that look drawn and are the same each time (SplitMix64).
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

async fn sends_many(given: &Given, draws: &mut Draws) -> BTreeMap<Uuid, OrderModel> {
    let orders: Vec<Uuid> = (0..8).map(|_| Uuid::new_v4()).collect();
    let mut model: BTreeMap<Uuid, OrderModel> = BTreeMap::new();
    for step in 0..400 {
        let order = orders[draws.below(8) as usize];
        let kind = ChangeType::ALL[draws.below(5) as usize];
        let directive = match draws.below(8) {
            0 => Directive::Veto,
            1 => Directive::HoldMs(1),
            _ => Directive::Commit,
        };
        let change = ChangeRequest {
            directive,
            ..match kind {
                ChangeType::Placed => placing(order),
                ChangeType::Paid
                | ChangeType::Shipped
                | ChangeType::Delivered
                | ChangeType::Amended => transition(kind),
            }
        };
        let of_order = model.entry(order).or_default();
        let wanted = of_order.take(kind, &change);
        let (status, answer) = given.change(order, &change).await;
        assert_eq!(status, wanted, "{step}: {kind:?} {directive:?}: {answer}");
        if status.is_success() {
            assert_eq!(answer, committed(of_order.attempts.len() as u32));
        }
    }
    model.retain(|_, order| order.state.is_some());
    model
}

#[tokio::test]
async fn given_any_changes_when_the_events_are_folded_then_answers_and_projection_are_those_of_a_slow_model()
 {
    events()
        .run(|given| async move {
            // Given many changes, sensible ones and others, whose answers are those of the model
            let model = sends_many(&given, &mut Draws(42)).await;
            assert!(
                model
                    .values()
                    .map(|order| order.attempts.len())
                    .sum::<usize>()
                    > 60
            );
            // When a projection is rebuilt from what was appended
            let identity = RunKey::random().identity().unwrap();
            let mut session = admin().await;
            let built = projection::rebuild(&mut session, &given.layout, &identity).await;
            // Then it has the orders of the model
            let appended = given.count("events").await as usize;
            assert_eq!(built.unwrap().rows.len(), appended);
            let rows = given
                .rows("select id, state, attempts from $S.projection")
                .await;
            let projected: BTreeMap<Uuid, OrderModel> = rows
                .iter()
                .map(|row| {
                    let order = OrderModel {
                        state: OrderState::from_name(row.get("state")),
                        attempts: row.get("attempts"),
                    };
                    (row.get("id"), order)
                })
                .collect();
            assert_eq!(projected, model);
        })
        .await;
}
