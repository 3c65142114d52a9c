//! Amazon EventBridge, by AWS's own client: one call (PutEvents) takes up to ten events, and its status says nothing of
//! any of them. Each has an entry of the answer to itself.

mod batch;
mod client;
mod entry;
mod publisher;
mod sender;

pub use publisher::EventBridgePublisher;
pub(crate) use sender::EventBridgeSender;
