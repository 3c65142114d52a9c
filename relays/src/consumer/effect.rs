//! The one statement that applies a batch: the effect, what makes it idempotent, and an append-only row for each
//! effect that was really done. One statement is one transaction and one round trip.

use contract::consumer::{EffectKind, Idempotency};

/// Its parameters: orders, versions, ids of the events in the order in which they were read; the time.
///
/// `given` are the events, `todo` those of them that are to be applied.
pub(super) fn statement(schema: &str, effect: EffectKind, idempotency: Idempotency) -> String {
    let (todo, done) = match (idempotency, effect) {
        (Idempotency::None, _) => (ALL.to_owned(), done(schema, effect)),
        (Idempotency::Inbox, _) => (unseen(schema), done(schema, effect)),
        // Whether it is to be done shows when it is.
        (Idempotency::Key, EffectKind::Insert) => (uncharged(schema), String::new()),
        // A sum has no key of its own; scenario files that ask for one are refused.
        (Idempotency::Key, EffectKind::Increment) => (ALL.to_owned(), done(schema, effect)),
    };
    format!(
        "with given as (
           select order_id, version, id, n
             from unnest($1::uuid[], $2::int4[], $3::uuid[])
             with ordinality as e (order_id, version, id, n)
         ), {todo}{done}
         insert into {schema}.effects (order_id, version, attempt, at_ns)
         select order_id, version, id, $4 from todo order by n"
    )
}

const ALL: &str = "todo as (select * from given)";

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

fn done(schema: &str, effect: EffectKind) -> String {
    match effect {
        EffectKind::Insert => format!(
            ", charged as (
               insert into {schema}.charges (order_id, version)
               select order_id, version from todo order by n
             )"
        ),
        EffectKind::Increment => format!(
            ", reserved as (
               update {schema}.stock set reserved = reserved + (select count(*) from todo)
             )"
        ),
    }
}
