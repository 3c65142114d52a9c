//! The one statement that applies a batch: the effect, what makes it idempotent, and an append-only row for each
//! effect that was really done. One statement is one transaction and one round trip.

use contract::consumer::{EffectKind, Idempotency};

/// Its parameters: orders, versions, ids of the events in the order in which they were read; the time. `None` of an
/// effect that no statement does.
///
/// `given` are the events, `todo` those of them that are to be applied, and what is made of them (`done`) may leave
/// some of them out.
pub(super) fn statement(
    schema: &str,
    effect: EffectKind,
    idempotency: Idempotency,
) -> Option<String> {
    let todo = match (idempotency, effect) {
        // A sum has no key of its own; scenario files that ask for one are refused.
        (Idempotency::None, _) | (Idempotency::Key, EffectKind::Increment | EffectKind::Call) => {
            "todo as (select * from given)".to_owned()
        }
        (Idempotency::Inbox, _) => unseen(schema),
        // Whether it is to be done shows when it is.
        (Idempotency::Key, EffectKind::Insert) => uncharged(schema),
        (Idempotency::Key, EffectKind::State) => newer(schema),
    };
    let (done, which) = match effect {
        EffectKind::Insert => (charged(schema, idempotency), "todo"),
        EffectKind::Increment => (reserved(schema), "todo"),
        EffectKind::State => (
            shipped(schema, idempotency),
            "todo join shipped using (order_id)",
        ),
        EffectKind::Call => return None,
    };
    Some(format!(
        "with given as (
           select order_id, version, id, n
             from unnest($1::uuid[], $2::int4[], $3::uuid[])
             with ordinality as e (order_id, version, id, n)
         ), {todo}{done}
         insert into {schema}.effects (order_id, version, attempt, at_ns)
         select order_id, version, id, $4 from {which} order by n"
    ))
}

/// An event is new if its id can be written into the inbox; one that is twice in the batch is new once.
fn unseen(schema: &str) -> String {
    format!(
        "fresh as (
           insert into {schema}.inbox (event_id)
           select distinct id from given
           on conflict do nothing returning event_id
         ), todo as (
           select distinct on (id) given.* from given join fresh on event_id = id order by id, n
         )"
    )
}

/// A charge is new if its order and version can be written.
fn uncharged(schema: &str) -> String {
    format!(
        "charged as (
           insert into {schema}.charges (order_id, version)
           select distinct order_id, version from given
           on conflict do nothing returning order_id, version
         ), todo as (
           select distinct on (order_id, version) given.*
             from given join charged using (order_id, version)
             order by order_id, version, n
         )"
    )
}

/// A state is new if its version is higher than the order's, and than all before it in the batch.
fn newer(schema: &str) -> String {
    format!(
        "ranked as (
           select given.*, max(version) over (
               partition by order_id order by n rows between unbounded preceding and 1 preceding
             ) as before_it
             from given
         ), todo as (
           select ranked.order_id, ranked.version, ranked.id, ranked.n
             from ranked left join {schema}.shipments using (order_id)
             where ranked.version > greatest(before_it, shipments.version, 0)
         )"
    )
}

fn charged(schema: &str, idempotency: Idempotency) -> String {
    match idempotency {
        // It is charged already.
        Idempotency::Key => String::new(),
        Idempotency::None | Idempotency::Inbox => format!(
            ", charged as (
               insert into {schema}.charges (order_id, version)
               select order_id, version from todo order by n
             )"
        ),
    }
}

fn reserved(schema: &str) -> String {
    format!(
        ", reserved as (
           update {schema}.stock set reserved = reserved + (select count(*) from todo)
         )"
    )
}

/// An order's row is as the last event of the batch says: what the events before it made of it is nobody's to see.
/// Without a key it is that event's version, whatever it was.
fn shipped(schema: &str, idempotency: Idempotency) -> String {
    let guard = match idempotency {
        Idempotency::Key => "where shipments.version < excluded.version",
        Idempotency::None | Idempotency::Inbox => "",
    };
    format!(
        ", shipped as (
           insert into {schema}.shipments (order_id, version)
           select distinct on (order_id) order_id, version from todo order by order_id, n desc
           on conflict (order_id) do update set version = excluded.version {guard}
           returning order_id
         )"
    )
}
