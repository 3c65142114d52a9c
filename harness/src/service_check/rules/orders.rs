//! Orders are placed and changed, in any size.

use super::or_broken;
use crate::service_check::client::AskedChange;
use crate::service_check::{CheckedService, Fault};
use relays::order::{CONTENT_BYTES_MAX, ChangeType};
use uuid::Uuid;

pub(super) async fn places(subject: &CheckedService) -> Result<(), Fault> {
    let placing = AskedChange::of(Uuid::new_v4(), ChangeType::Placed);
    let told = subject.client().ask(&placing).await;
    or_broken(told.is_committed() && told.version == 1, || {
        format!("it {}", told.how)
    })
}

pub(super) async fn versions(subject: &CheckedService) -> Result<(), Fault> {
    let mut client = subject.client();
    let order = client.placed().await?;
    for (version, kind) in [
        (2, ChangeType::Paid),
        (3, ChangeType::Shipped),
        (4, ChangeType::Delivered),
        (5, ChangeType::Amended),
        (6, ChangeType::Amended),
    ] {
        let told = client.ask(&AskedChange::of(order, kind)).await;
        or_broken(told.is_committed() && told.version == version, || {
            let name = kind.name();
            format!(
                "an order that became {name} should have version {version}: it {}",
                told.how
            )
        })?;
    }
    Ok(())
}

pub(super) async fn size(subject: &CheckedService) -> Result<(), Fault> {
    let mut client = subject.client();
    client.placed().await?;
    let mut placing = AskedChange::of(Uuid::new_v4(), ChangeType::Placed);
    placing.content = "0123456789".repeat(CONTENT_BYTES_MAX as usize / 10);
    let told = client.ask(&placing).await;
    or_broken(told.is_committed(), || format!("it {}", told.how))
}
