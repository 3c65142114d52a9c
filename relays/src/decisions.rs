//! The decision log of two-phase commits: a table with a row for each producer of a coordinator. The order service
//! (the coordinator) and the recoverer change it by the statements of this file, and by nothing else.
//!
//! A producer has one transaction at a time, and Kafka knows it by the producer alone: its id and epoch. Whoever ends
//! "the transaction" of a producer ends whichever it has at that moment. So the log does not have a row for each
//! transaction but one for each producer, whose state says what may be done to it:
//!
//!   open ──decide──▶ commit ──reopen──▶ open            by the coordinator: one transaction after the other
//!   open ──────────▶ aborting ◀──────▶ aborted          by whoever gives the producer up, then the recoverer
//!   commit ────────▶ committing ─────▶ committed        the same of one that was decided
//!                              └─────▶ heuristic        the broker had aborted by itself by then
//!
//! Each arrow is one statement that finds the state it begins with, or does nothing. So of a coordinator that is only
//! slow and a recoverer that gives it up, whoever is first wins, and the other one is told. A producer that was given
//! up is never used again: whatever the recoverer does to it late hits no other transaction.
//!
//! What such a producer had sent, or sends on because it has not been told yet, would begin a transaction that nobody
//! ends. So once its last one has ended, and that is on disk, the broker is asked to take nothing of it any more
//! (`fenced`). Not before: a producer that is fenced cannot be committed any more.

/// Columns beside the key: whose it is (an advisory lock that the coordinator's process holds while it lives), how the
/// broker knows the producer, and of what was decided the prepared transaction and the attempt.
pub(crate) const COLUMNS: &str = "transactional_id text primary key,
    owner bigint not null,
    producer_id bigint not null,
    producer_epoch smallint not null,
    state text not null default 'open' check (state in
        ('open', 'commit', 'aborting', 'aborted', 'committing', 'committed', 'heuristic')),
    gid text,
    attempt uuid,
    fenced boolean not null default false,
    changed_at timestamptz not null default clock_timestamp()";

/// A new producer, before its first transaction. $1 transactional id, $2 owner, $3 producer id, $4 epoch.
pub(crate) const REGISTER: &str = "insert into decisions (transactional_id, owner, producer_id, producer_epoch) values ($1, $2, $3, $4)";

/// The decision: from its commit on both sides are to be committed. $1 transactional id, $2 gid, $3 attempt.
pub(crate) const DECIDE: &str =
    "update decisions set state = 'commit', gid = $2, attempt = $3, changed_at = clock_timestamp()
     where transactional_id = $1 and state = 'open'";

/// Both sides are committed: the producer may begin its next transaction. $1 transactional id.
pub(crate) const REOPEN: &str =
    "update decisions set state = 'open', gid = null, attempt = null, changed_at = clock_timestamp()
     where transactional_id = $1 and state = 'commit'";

/// The coordinator gives a producer up, and leaves the rest to the recoverer. One that the recoverer had taken too
/// early may have begun a transaction since: it is ended again. $1 transactional id.
pub(crate) const HAND_OVER: &str =
    "update decisions set state = case state when 'commit' then 'committing' else 'aborting' end,
         changed_at = clock_timestamp()
     where transactional_id = $1 and state in ('open', 'commit', 'aborted')";

/// The recoverer takes what nobody living owns, and what is in doubt for longer than $1 milliseconds.
pub(crate) const TAKE: &str =
    "update decisions d set state = case d.state when 'open' then 'aborting' else 'committing' end,
         changed_at = clock_timestamp()
     where d.state in ('open', 'commit')
       and (not exists (select from pg_locks l where l.locktype = 'advisory' and l.granted and l.objsubid = 1
              and l.database = (select oid from pg_database where datname = current_database())
              and (l.classid::int8 << 32 | l.objid::int8) = d.owner)
         or d.state = 'commit' and d.changed_at < clock_timestamp() - $1 * interval '1 ms'
         or d.state = 'open' and exists (select from pg_prepared_xacts p
              where starts_with(p.gid, d.transactional_id || '/')
                and p.prepared < clock_timestamp() - $1 * interval '1 ms'))";

/// What was taken, what of it (or of a producer that was aborted earlier: its PREPARE can have been on its way then) is
/// prepared in this database, and of what has ended the producers that are not fenced yet.
pub(crate) const TAKEN: &str =
    "select d.transactional_id, d.producer_id, d.producer_epoch, d.state, p.gid, d.fenced
     from decisions d left join pg_prepared_xacts p
       on p.database = current_database() and starts_with(p.gid, d.transactional_id || '/')
     where d.state in ('aborting', 'committing') or d.state = 'aborted' and p.gid is not null
       or d.state in ('aborted', 'committed', 'heuristic') and not d.fenced";

/// It has ended on both sides. $1 transactional id, $2 the state that it ends in.
pub(crate) const END: &str = "update decisions set state = $2, changed_at = clock_timestamp()
     where transactional_id = $1 and state in ('aborting', 'committing')";

/// The broker takes nothing of a producer any more. $1 transactional id.
pub(crate) const FENCED: &str = "update decisions set fenced = true where transactional_id = $1";

/// Returns the name of a producer's transaction of this number, under which PostgreSQL prepares it.
pub(crate) fn gid(transactional_id: &str, number: u64) -> String {
    format!("{transactional_id}/{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_the_longest_schema_when_a_transaction_is_named_then_postgresql_takes_the_name() {
        // A gid has less than 200 bytes (GIDSIZE).
        let transactional_id = format!("{}.{}", "s".repeat(58), uuid::Uuid::nil().simple());
        assert!(gid(&transactional_id, u64::MAX).len() < 200);
    }
}
