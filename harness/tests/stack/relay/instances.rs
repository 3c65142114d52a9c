//! Several relays of one outbox: one works, the others stand by, and one that hangs is replaced.

use super::KINDS;
use super::fixture::{Fixture, Wiring};
use super::process::RelayProcess;
use nix::sys::signal::Signal as Unix;
use relays::signal::Signal;

/// It is ready, whether it leads or stands by.
async fn started(fixture: &Fixture) -> RelayProcess {
    let mut relay = RelayProcess::start(fixture);
    relay.wait_for(|s| *s == Signal::Ready).await;
    relay
}

fn has_delivered(signal: &Signal) -> bool {
    matches!(signal, Signal::Progress { delivered, .. } if *delivered > 0)
}

fn send(relay: &RelayProcess, signal: Unix) {
    let pid = nix::unistd::Pid::from_raw(relay.pid() as i32);
    nix::sys::signal::kill(pid, signal).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn given_two_relays_when_the_one_that_leads_is_killed_again_and_again_then_the_other_goes_on()
{
    for kind in KINDS {
        Fixture::run(kind, Wiring::Direct, async |mut fixture| {
            // Given two relays, both ready, of which only the first works
            fixture.one_of_several = true;
            let mut leader = started(&fixture).await;
            let mut other = started(&fixture).await;
            fixture.insert(200, 1..=5).await;
            fixture.wait_until_worked_off(1_000).await;
            leader.wait_for(has_delivered).await;
            assert!(!other.saw(has_delivered), "{kind:?}");
            for first in [6, 11, 16] {
                // When the one that leads is killed in the middle of a backlog
                fixture.insert(200, first..=first + 4).await;
                leader.kill().await;
                // Then the other one takes over, and the next one stands by
                leader = other;
                leader.wait_for(has_delivered).await;
                other = started(&fixture).await;
            }
            fixture.wait_until_worked_off(4_000).await;
            leader.terminate().await;
            other.terminate().await;
            fixture.read_topic().assert_complete(200, 20);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_two_relays_when_the_one_that_leads_hangs_and_wakes_up_replaced_then_the_order_holds()
{
    for kind in KINDS {
        Fixture::run(kind, Wiring::Direct, async |mut fixture| {
            // Given a relay that is stopped in the middle of a backlog, with events in its hands
            fixture.one_of_several = true;
            let mut hangs = started(&fixture).await;
            let mut other = started(&fixture).await;
            fixture.insert(1_000, 1..=5).await;
            hangs.wait_for(has_delivered).await;
            send(&hangs, Unix::SIGSTOP);
            // When the server ends its session, the other one takes over and goes on
            fixture.insert(1_000, 6..=8).await;
            fixture.wait_until_worked_off(8_000).await;
            other.wait_for(has_delivered).await;
            // And it wakes up and goes on with what it had
            send(&hangs, Unix::SIGCONT);
            hangs
                .wait_for(|s| matches!(s, Signal::DatabaseLost { .. }))
                .await;
            fixture.insert(1_000, 9..=10).await;
            fixture.wait_until_worked_off(10_000).await;
            // Then it stands by, and takes over in its turn
            hangs.wait_for(|s| *s == Signal::DatabaseUp).await;
            other.kill().await;
            fixture.insert(1_000, 11..=12).await;
            fixture.wait_until_worked_off(12_000).await;
            hangs.terminate().await;
            fixture.read_topic().assert_complete(1_000, 12);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_relay_that_leads_and_cannot_publish_when_it_gives_up_then_the_other_has_its_turn()
{
    for kind in KINDS {
        Fixture::run(kind, Wiring::ProxiedKafka, async |mut fixture| {
            // Given a relay whose broker is out of its reach, and one that reaches it
            fixture.one_of_several = true;
            let mut cut_off = started(&fixture).await;
            let mut other = started(&fixture.past_the_proxy()).await;
            fixture.set_proxy(false).await;
            // When there is something to publish
            fixture.insert(50, 1..=4).await;
            // Then the other one does it
            fixture.wait_until_worked_off(200).await;
            other.wait_for(has_delivered).await;
            assert!(!cut_off.saw(has_delivered), "{kind:?}");
            fixture.set_proxy(true).await;
            cut_off.terminate().await;
            other.terminate().await;
            fixture.read_topic().assert_complete(50, 4);
        })
        .await;
    }
}
