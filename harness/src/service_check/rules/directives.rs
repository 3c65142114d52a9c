//! What the load asks of a service's business logic.

use super::or_broken;
use crate::service_check::client::AskedChange;
use crate::service_check::{CheckedService, Fault};
use relays::order::{ChangeType, Directive};
use std::time::Duration;

/// The service is asked to hold a change for so long, which is long enough to be no accident.
const HOLD: Duration = Duration::from_millis(400);

pub(super) async fn veto(subject: &CheckedService) -> Result<(), Fault> {
    let mut client = subject.client();
    let order = client.placed().await?;
    client.amended(order, 2).await?;
    let mut vetoed = AskedChange::of(order, ChangeType::Amended);
    vetoed.directive = Directive::Veto;
    let told = client.ask(&vetoed).await;
    or_broken(told.is_refused(), || format!("it {}", told.how))?;
    let next = client.next_version(order).await?;
    or_broken(next == 3, || {
        format!(
            "it was committed all the same: the order's next change is version {next}, where 3 is left"
        )
    })
}

pub(super) async fn hold(subject: &CheckedService) -> Result<(), Fault> {
    let mut client = subject.client();
    let order = client.placed().await?;
    let mut held = AskedChange::of(order, ChangeType::Amended);
    held.directive = Directive::HoldMs(HOLD.as_millis() as u32);
    let told = client.ask(&held).await;
    or_broken(told.is_committed(), || format!("it {}", told.how))?;
    or_broken(told.took >= HOLD, || {
        format!(
            "asked to hold it for {HOLD:?}, it answered after {:?}",
            told.took
        )
    })
}
