//! Connections, and whether the service works at all.

use super::or_broken;
use crate::service_check::client::AskedChange;
use crate::service_check::{CheckedService, Fault};
use futures::future::join_all;
use relays::order::ChangeType;
use uuid::Uuid;

const AT_ONCE: usize = 64;

pub(super) async fn health(subject: &CheckedService) -> Result<(), Fault> {
    let told = subject.client().get("/health").await;
    or_broken((200..300).contains(&told.status), || {
        format!("it {}", told.how)
    })
}

pub(super) async fn at_once(subject: &CheckedService) -> Result<(), Fault> {
    subject.client().placed().await?;
    let mut clients: Vec<_> = (0..AT_ONCE).map(|_| subject.client()).collect();
    join_all(clients.iter_mut().map(|client| client.connect())).await;
    let all = clients.iter_mut().map(|client| async move {
        let placing = AskedChange::of(Uuid::new_v4(), ChangeType::Placed);
        client.ask(&placing).await
    });
    let told = join_all(all).await;
    let failed: Vec<_> = told.iter().filter(|told| !told.is_committed()).collect();
    or_broken(failed.is_empty(), || {
        let first = failed.first().map_or("", |told| told.how.as_str());
        format!(
            "{} of {AT_ONCE} came to nothing: of the first, it {first}",
            failed.len()
        )
    })
}

pub(super) async fn keep_alive(subject: &CheckedService) -> Result<(), Fault> {
    let mut client = subject.client();
    client.placed().await?;
    for _ in 0..2 {
        let told = client
            .ask(&AskedChange::of(Uuid::new_v4(), ChangeType::Placed))
            .await;
        if !told.is_committed() {
            let why = format!("an order could not be placed: it {}", told.how);
            return Err(Fault::Untried(why));
        }
        or_broken(!told.reconnected, || {
            "after an answer, the connection was closed".to_owned()
        })?;
    }
    Ok(())
}
