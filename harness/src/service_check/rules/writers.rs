//! Several writers of one order.

use super::or_broken;
use crate::history::Outcome;
use crate::service_check::client::AskedChange;
use crate::service_check::{CheckedService, Fault};
use futures::future::join_all;
use relays::order::ChangeType;

const WRITERS: usize = 8;
/// They have to meet.
const ROUNDS: u32 = 3;

pub(super) async fn of_one_order(subject: &CheckedService) -> Result<(), Fault> {
    let mut client = subject.client();
    let mut writers: Vec<_> = (0..WRITERS).map(|_| subject.client()).collect();
    for _ in 0..ROUNDS {
        let order = client.placed().await?;
        client.amended(order, 2).await?;
        join_all(writers.iter_mut().map(|writer| writer.connect())).await;
        let all = writers.iter_mut().map(|writer| async move {
            let change = AskedChange::of(order, ChangeType::Amended);
            writer.ask(&change).await
        });
        let told = join_all(all).await;
        let mut versions: Vec<u32> = told
            .iter()
            .filter(|told| told.is_committed())
            .map(|told| told.version)
            .collect();
        if let ([] | [_], Some(failed)) = (&versions[..], told.iter().find(|t| !t.is_committed())) {
            let why = format!(
                "of {WRITERS} changes at once, fewer than two were made: one {}",
                failed.how
            );
            return Err(Fault::Untried(why));
        }
        versions.sort_unstable();
        let twice = versions.windows(2).find(|pair| pair[0] == pair[1]);
        or_broken(twice.is_none(), || {
            format!("{WRITERS} changes of one order at once got the versions {versions:?}")
        })?;
        // One that failed may be committed all the same.
        if told.iter().any(|told| told.outcome == Outcome::Unknown) {
            continue;
        }
        let next = client.next_version(order).await?;
        versions.push(next);
        let counted = (3..)
            .zip(&versions)
            .all(|(expected, version)| expected == *version);
        or_broken(counted, || {
            format!(
                "changes of one order at once, and one after them, got the versions {versions:?}, \
                 where 3, 4, 5, ... are left"
            )
        })?;
    }
    Ok(())
}
