//! Changes as events that are appended, where the events are the truth: no order is stored, its state is folded
//! from its events.
//!
//! An append is one statement: it folds the order's events, checks the change against what comes of that, and
//! appends the next version. There is no row of the order that could be locked. Of two that saw the same version one
//! finds its place taken and appends nothing (optimistic concurrency); where the other's event is not committed yet,
//! it waits for what becomes of that first. Then it is asked why, and tried again where it may be, as with an order's
//! row: three times in all.
//!
//! The parameters are those of the outbox: $1 order, $2 attempt, $3 change, $4 state required, $5 state afterwards
//! (null leaves it as it was), $6 event id, $7 event type, $8 and $9 the event's text before and after its version.
//! Each statement has a transaction in which nothing was written before it, so a transaction's id is drawn after
//! the commit of every earlier version that it saw. The relay that reads by these ids relies on it.

macro_rules! append {
    ($version:literal, $from:expr) => {
        concat!(
            "insert into events (aggregateid, version, id, type, state, attempt, change_id, payload) select $1, ",
            $version,
            ", $6, $7, $5, $2, $3, $8 || (",
            $version,
            ") || $9 ",
            $from,
            " on conflict (aggregateid, version) do nothing returning version"
        )
    };
}

// The state of an order is what the last of its events that led to one led to.
macro_rules! state {
    () => {
        "(array_agg(state order by version desc) filter (where state is not null))[1]"
    };
}

/// Appends the first event of an order; nothing if it has one.
pub(super) const PLACE: &str = append!("1", "where $4::text is null");

/// Appends the next event of an order; nothing if it has none, is in another state than the required one, has the
/// change already, or has got another event meanwhile.
pub(super) const TRANSITION: &str = append!(
    "version + 1",
    concat!(
        "from (select max(version), ",
        state!(),
        ", bool_or(change_id = $3) from events where aggregateid = $1) as folded(version, state, is_made)
         where version is not null and not is_made and ($4::text is null or folded.state = $4)"
    )
);

/// An order's state, and the version that a change made of it: $1 order, $2 change.
pub(super) const ORDER: &str = concat!(
    "select ",
    state!(),
    ", max(version) filter (where change_id = $2)
     from events where aggregateid = $1 having count(*) > 0"
);
