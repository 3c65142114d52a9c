//! Faults of a cache, each judged by reads and invalidations: a change is committed without it.

use super::name;
use super::staged::*;
use crate::history::{Life, Outcome, ReadSource};
use crate::scenario::{FaultKind, Link, Stream, Target, Toxic, Victim};
use contract::cache::CacheMode;

const SERVER: &str = "redis-server";

/// Changes that go on being answered, and events that pass by at any moment, whatever the cache does.
fn load(staged: Staged, mode: CacheMode) -> Staged {
    let staged = (30..120).fold(staged.cached(mode), |staged, tenth| {
        let sent = f64::from(tenth) / 10.0;
        staged.request(sent, sent + 0.02, Outcome::Committed, Some(sent + 0.09))
    });
    // One more is on its way at the begin and at the end of the fault.
    staged
        .request(3.98, 4.0, Outcome::Committed, Some(4.05))
        .request(7.95, 7.99, Outcome::Committed, Some(8.05))
}

fn down(mode: CacheMode) -> Staged {
    let link = match mode.is_of_relay() {
        true => Link::RELAY_REDIS,
        false => Link::ORDERS_REDIS,
    };
    let staged = Staged::new(Target::Link(link), FaultKind::Down, polling())
        .every(4.0..8.0, link.name(), name::PROBE_REFUSED, |_| 1.0)
        .every(3.0..8.0, link.name(), name::SOCKETS, |_| 0.0);
    load(staged, mode)
}

fn killed(mode: CacheMode) -> Staged {
    let target = Target::Process(Victim::REDIS);
    let staged = Staged::new(target, FaultKind::Kill, polling())
        .life(SERVER, 0.0, Life::Started, 0)
        .life(SERVER, 0.1, Life::Ready, 0)
        .life(SERVER, 3.995, Life::Exited, 9)
        .life(SERVER, 8.0, Life::Started, 0)
        .life(SERVER, 8.01, Life::Ready, 0);
    load(staged, mode)
}

fn paused(mode: CacheMode) -> Staged {
    let target = Target::Process(Victim::REDIS);
    let staged = Staged::new(target, FaultKind::Pause, polling())
        .every(4.0..8.0, SERVER, name::THREADS, |_| 5.0)
        .every(4.0..8.0, SERVER, name::THREADS_STOPPED, |_| 5.0)
        .every(4.0..8.0, SERVER, name::CPU_TICKS, |_| 9.0);
    load(staged, mode)
}

fn silent(link: Link, mode: CacheMode) -> Staged {
    let kind = toxic(Toxic::Timeout { timeout: 0 }, Stream::Upstream);
    let staged = Staged::new(Target::Link(link), kind, polling())
        .every(4.0..8.0, link.name(), name::IN_BYTES, |_| 500.0)
        .every(4.0..8.0, link.name(), name::OUT_BYTES, |_| 0.0);
    load(staged, mode)
}

/// More than passes by at any moment waits at the end of the fault.
fn piled_up(staged: Staged) -> Staged {
    (0..30).fold(staged, |staged, _| {
        staged.request(5.0, 5.1, Outcome::Committed, Some(9.0))
    })
}

#[test]
fn given_a_way_of_the_service_to_the_cache_that_is_cut_when_no_read_felt_it_then_it_did_not_bite() {
    let cut = || down(CacheMode::InvalidateAfterCommit);
    cut().did_not_bite("asked for none");
    // Changes never tell of it: not those that go by, nor those that hang for another reason.
    piled_up(cut()).did_not_bite("asked for none");
    cut()
        .request(5.0, 7.0, Outcome::Unknown, None)
        .did_not_bite("asked for none");
    cut()
        .read(5.0, ReadSource::Cache)
        .did_not_bite("asked for none");
    cut()
        .read(5.0, ReadSource::Fallback)
        .bit("1 read without the cache");
    cut().not_invalidated(5.0).bit("1 invalidation failed");
    // Nor what befell reads before it already
    let before = cut().read(3.5, ReadSource::Fallback);
    before
        .read(5.0, ReadSource::Fallback)
        .did_not_bite("asked for none");
}

#[test]
fn given_a_way_of_the_relay_to_the_cache_that_is_cut_then_it_bit_where_events_pile_up() {
    let cut = || down(CacheMode::InvalidateByRelay);
    cut().did_not_bite("asked for none");
    piled_up(cut()).bit("events committed and not yet seen grew from");
}

#[test]
fn given_a_cache_that_is_killed_then_reads_without_it_and_reads_after_it_tell() {
    for mode in [
        CacheMode::InvalidateAfterCommit,
        CacheMode::InvalidateByRelay,
    ] {
        let without = || killed(mode).read(5.0, ReadSource::Fallback);
        killed(mode).did_not_bite("nothing was on its way");
        // A copy on the topic is no news of a cache that the service invalidates
        let again = killed(mode).again(0, 9.0).read(9.0, ReadSource::Cache);
        match mode.is_of_relay() {
            true => again.bit("1 event seen before and again after it"),
            false => again.did_not_bite("nothing was on its way"),
        }
        without().did_not_bite("never seen to work");
        without()
            .read(9.0, ReadSource::Fallback)
            .did_not_bite("never seen to work");
        without()
            .read(9.0, ReadSource::Database)
            .bit("1 read served by it after");
    }
    let waiting = piled_up(killed(CacheMode::InvalidateByRelay)).read(9.0, ReadSource::Cache);
    waiting.bit("events committed and not yet seen grew from");
}

#[test]
fn given_a_cache_that_is_paused_then_what_passes_by_anyway_is_not_missed() {
    for mode in [
        CacheMode::InvalidateAfterCommit,
        CacheMode::InvalidateByRelay,
    ] {
        paused(mode).did_not_bite("no read and no invalidation felt it");
        paused(mode)
            .read(5.0, ReadSource::Fallback)
            .bit("1 read without the cache");
    }
    let service = paused(CacheMode::InvalidateAfterCommit);
    service.not_invalidated(5.0).bit("1 invalidation failed");
    piled_up(paused(CacheMode::InvalidateAfterCommit)).did_not_bite("felt it");
    piled_up(paused(CacheMode::InvalidateByRelay)).bit("grew from");
}

#[test]
fn given_a_silent_way_to_the_cache_then_reads_tell_of_the_services_and_events_of_the_relays() {
    let by_relay = CacheMode::InvalidateByRelay;
    for mode in [CacheMode::InvalidateAfterCommit, by_relay] {
        silent(Link::ORDERS_REDIS, mode).did_not_bite("no operation hung");
        let felt = silent(Link::ORDERS_REDIS, mode).read(5.0, ReadSource::Fallback);
        felt.bit("1 read without the cache");
    }
    silent(Link::RELAY_REDIS, by_relay).did_not_bite("no operation hung");
    piled_up(silent(Link::RELAY_REDIS, by_relay)).bit("grew from");
}
