//! A client that was told nothing sends its change again, by another attempt.

use super::or_broken;
use crate::history::Outcome;
use crate::service_check::client::{AskedChange, Client, ServiceAnswer};
use crate::service_check::{CheckedService, Fault};
use relays::order::ChangeType;
use uuid::Uuid;

/// Two that run into each other are tried so often.
const ROUNDS: u32 = 5;

pub(super) async fn one_after_the_other(subject: &CheckedService) -> Result<(), Fault> {
    let mut client = subject.client();
    let placing = AskedChange::of(Uuid::new_v4(), ChangeType::Placed);
    client.changed(&placing, 1).await?;
    let amending = AskedChange::of(placing.order, ChangeType::Amended);
    client.changed(&amending, 2).await?;
    for (change, version) in [(&placing, 1), (&amending, 2)] {
        let told = client.ask(change).await;
        or_broken(is_as_before(&told, version), || {
            let kind = change.kind.name();
            format!(
                "{kind} again, after it had been told version {version}: it {}",
                told.how
            )
        })?;
    }
    made_once(&mut client, placing.order, 3).await
}

pub(super) async fn at_once(subject: &CheckedService) -> Result<(), Fault> {
    let (mut one, mut other) = (subject.client(), subject.client());
    // What is made again even one after the other tells nothing here.
    if let Err(Fault::Broken(what)) = one_after_the_other(subject).await {
        let why = format!("it is so even where one comes after the other: {what}");
        return Err(Fault::Untried(why));
    }
    for _ in 0..ROUNDS {
        let order = one.placed().await?;
        one.amended(order, 2).await?;
        other.connect().await;
        let change = AskedChange::of(order, ChangeType::Amended);
        let (first, second) = tokio::join!(one.ask(&change), other.ask(&change));
        for told in [&first, &second] {
            if told.status == 0 {
                let why = format!("of two that were sent at once, one {}", told.how);
                return Err(Fault::Untried(why));
            }
            // One that failed leaves it open, and is sent again in its turn.
            let open = told.outcome == Outcome::Unknown;
            or_broken(open || is_as_before(told, 3), || {
                format!(
                    "one change, sent twice at once, came to two ends: it {}, and it {}",
                    first.how, second.how
                )
            })?;
        }
        one.changed(&change, 3).await?;
        made_once(&mut one, order, 4).await?;
    }
    Ok(())
}

fn is_as_before(told: &ServiceAnswer, version: u32) -> bool {
    told.is_committed() && told.version == version
}

/// The next change shows how many there were.
async fn made_once(client: &mut Client, order: Uuid, next: u32) -> Result<(), Fault> {
    let version = client.next_version(order).await?;
    or_broken(version == next, || {
        format!(
            "it was made again: the order's next change is version {version}, where {next} is left"
        )
    })
}
