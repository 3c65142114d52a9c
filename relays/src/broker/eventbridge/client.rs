//! AWS's client, on its way to an emulator: plain HTTP, and a name and a password that nobody looks at.

use crate::persistence::Persistence;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::config::retry::RetryConfig;
use aws_sdk_eventbridge::config::timeout::TimeoutConfig;
use aws_sdk_eventbridge::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_eventbridge::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use std::error::Error;
use std::time::Duration;

/// The emulator has every region, and nobody else is asked.
const REGION: &str = "us-east-1";

/// Returns a client of the endpoint at this `host:port`, whose calls take no longer than `within`. Nothing is connected
/// yet. It tries once: of a call that was tried again nobody knows whether the first try did it.
pub(super) fn client(address: &str, within: Duration) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(format!("http://{address}"))
        .region(Region::from_static(REGION))
        .credentials_provider(Credentials::new("outbox", "harness", None, None, "fixed"))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_timeout(within).build())
        .build();
    Client::from_conf(config)
}

/// What a call that failed as a whole says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CallError {
    pub reason: String,
    /// This says whether its events are on the bus all the same.
    pub persistence: Persistence,
}

impl<E: Error + ProvideErrorMetadata + 'static> From<SdkError<E>> for CallError {
    fn from(error: SdkError<E>) -> Self {
        let persistence = match &error {
            SdkError::ConstructionFailure(_) => Persistence::NotPersisted,
            // The request was read and refused; an error of the service's own can come at any time.
            SdkError::ServiceError(said) if said.raw().status().is_client_error() => {
                Persistence::NotPersisted
            }
            _ => Persistence::PossiblyPersisted,
        };
        let reason = match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            (None, _) => DisplayErrorContext(&error).to_string(),
        };
        Self {
            reason,
            persistence,
        }
    }
}
