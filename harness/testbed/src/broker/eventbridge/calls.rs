//! The calls of EventBridge and SQS that a topic takes, as they go over HTTP. The client of the system under test is
//! another one. Nobody looks at the signature.

use crate::http;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// No call takes longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Whose buses and queues they are, for an emulator.
const ACCOUNT: &str = "123456789012";
const REGION: &str = "us-east-1";
/// A bus that every account has.
const DEFAULT_BUS: &str = "default";
/// The one rule of a bus, and its one target.
const RULE: &str = "everything";
/// A message that was received is given to nobody else for so long, in seconds; by then it is deleted.
const INVISIBLE_S: u32 = 600;
/// So many are received at once.
const RECEIVED_MAX: u32 = 10;

/// One of the two services.
#[derive(Debug, Clone, Copy)]
enum Service {
    Events,
    Queues,
}

impl Service {
    /// The first part of the name of each of its calls, the name by which it is signed for, and how its JSON is called.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Events => ("AWSEvents", "events", "application/x-amz-json-1.1"),
            Self::Queues => ("AmazonSQS", "sqs", "application/x-amz-json-1.0"),
        }
    }
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallError {
    /// The service refused it, with this code and this reason.
    Refused { code: String, reason: String },
    /// Nobody knows what became of it.
    Unanswered(String),
}

impl CallError {
    /// Whether what the call was about is not there.
    pub fn is_not_there(&self) -> bool {
        self.has_code(&[
            "ResourceNotFoundException",
            "QueueDoesNotExist",
            "NonExistentQueue",
        ])
    }

    /// Whether what was to be made is there.
    pub fn is_taken(&self) -> bool {
        self.has_code(&["ResourceAlreadyExistsException", "QueueNameExists"])
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        match self {
            Self::Refused { code, .. } => codes.iter().any(|known| code.ends_with(known)),
            Self::Unanswered(_) => false,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, reason } => write!(f, "{code}: {reason}"),
            Self::Unanswered(reason) => f.write_str(reason),
        }
    }
}

impl From<CallError> for String {
    fn from(error: CallError) -> Self {
        error.to_string()
    }
}

/// A message of a queue.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct QueueMessage {
    pub message_id: String,
    pub receipt_handle: String,
    pub body: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Received {
    #[serde(default)]
    messages: Vec<QueueMessage>,
}

/// Makes calls to one address.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    http: reqwest::Client,
    address: String,
}

impl Calls {
    /// Nothing is connected yet.
    pub fn new(address: &str) -> Result<Self, String> {
        let client = http::direct().timeout(ANSWER_WITHIN).build();
        Ok(Self {
            http: client.map_err(|e| format!("making an HTTP client: {e}"))?,
            address: address.to_owned(),
        })
    }

    async fn call(&self, service: Service, action: &str, body: Value) -> Result<Value, CallError> {
        let unanswered = |e: reqwest::Error| CallError::Unanswered(format!("{action}: {e}"));
        let (prefix, signed_for, content_type) = service.names();
        let scope = format!("Credential=referee/20200101/{REGION}/{signed_for}/aws4_request");
        let asked = self
            .http
            .post(format!("http://{}/", self.address))
            .header("Content-Type", content_type)
            .header("X-Amz-Target", format!("{prefix}.{action}"))
            .header(
                "Authorization",
                format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"),
            )
            .body(body.to_string());
        let answer = asked.send().await.map_err(unanswered)?;
        let status = answer.status();
        let said = answer.bytes().await.map_err(unanswered)?;
        let said: Value = match said.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&said).map_err(|e| {
                CallError::Unanswered(format!("{action}: status {status}, and no JSON: {e}"))
            })?,
        };
        if status.is_success() {
            return Ok(said);
        }
        let text = |names: [&str; 2]| {
            let found = names.iter().find_map(|name| said.get(name)?.as_str());
            found.unwrap_or_default().to_owned()
        };
        match text(["__type", "code"]) {
            code if code.is_empty() => Err(CallError::Unanswered(format!(
                "{action}: status {status}: {said}"
            ))),
            code => Err(CallError::Refused {
                code,
                reason: text(["message", "QueueMessage"]),
            }),
        }
    }

    /// The names of all buses but the one that is always there.
    pub async fn buses(&self) -> Result<Vec<String>, String> {
        let said = self
            .call(Service::Events, "ListEventBuses", json!({}))
            .await?;
        let buses = said["EventBuses"].as_array().cloned().unwrap_or_default();
        let names = buses.iter().filter_map(|bus| bus["Name"].as_str());
        let names = names.filter(|name| *name != DEFAULT_BUS);
        Ok(names.map(str::to_owned).collect())
    }

    /// Makes a bus and a queue, and has everything on the bus go to the queue.
    pub async fn make(&self, bus: &str) -> Result<(), CallError> {
        self.call(Service::Events, "CreateEventBus", json!({ "Name": bus }))
            .await?;
        let queue = queue(bus);
        let attributes = json!({ "VisibilityTimeout": INVISIBLE_S.to_string() });
        let making = json!({ "QueueName": queue, "Attributes": attributes });
        self.call(Service::Queues, "CreateQueue", making).await?;
        let everything = json!({ "source": [{ "prefix": "" }] }).to_string();
        let rule = json!({ "Name": RULE, "EventBusName": bus, "EventPattern": everything });
        self.call(Service::Events, "PutRule", rule).await?;
        let arn = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}");
        let targets = json!({
            "Rule": RULE, "EventBusName": bus, "Targets": [{ "Id": "referee", "Arn": arn }]
        });
        let said = self.call(Service::Events, "PutTargets", targets).await?;
        match said["FailedEntryCount"].as_u64() {
            Some(0) => Ok(()),
            _ => Err(CallError::Unanswered(format!(
                "the queue is no target of bus {bus}: {said}"
            ))),
        }
    }

    /// Deletes a bus, with its rule; one that is not there is no error.
    pub async fn delete_bus(&self, bus: &str) -> Result<(), CallError> {
        let name = json!({ "Name": bus });
        let deleted = self.call(Service::Events, "DeleteEventBus", name).await;
        there_or_not(deleted)
    }

    /// Deletes the queue of a bus; one that is not there is no error.
    pub async fn delete_queue(&self, bus: &str) -> Result<(), CallError> {
        let url = json!({ "QueueUrl": self.url(bus) });
        there_or_not(self.call(Service::Queues, "DeleteQueue", url).await)
    }

    /// Puts one event, and says whether the bus is there.
    pub async fn put(&self, bus: &str, source: &str, detail: &Value) -> Result<(), CallError> {
        let entry = json!({
            "EventBusName": bus, "Source": source, "DetailType": source, "Detail": detail.to_string()
        });
        let put = json!({ "Entries": [entry] });
        self.call(Service::Events, "PutEvents", put).await.map(drop)
    }

    /// Takes messages from the queue of a bus, where any are there; they are for nobody else then.
    pub async fn receive(&self, bus: &str) -> Result<Vec<QueueMessage>, CallError> {
        let asked = json!({ "QueueUrl": self.url(bus), "MaxNumberOfMessages": RECEIVED_MAX });
        match self.call(Service::Queues, "ReceiveMessage", asked).await? {
            Value::Null => Ok(Vec::new()),
            said => {
                let received: Received = serde_json::from_value(said)
                    .map_err(|e| CallError::Unanswered(format!("ReceiveMessage: {e}")))?;
                Ok(received.messages)
            }
        }
    }

    /// Deletes messages by their receipts, and says which of these were deleted.
    pub async fn delete_messages(
        &self,
        bus: &str,
        receipts: &[String],
    ) -> Result<Vec<usize>, CallError> {
        let entries: Vec<Value> = receipts
            .iter()
            .enumerate()
            .map(|(id, receipt)| json!({ "Id": id.to_string(), "ReceiptHandle": receipt }))
            .collect();
        let asked = json!({ "QueueUrl": self.url(bus), "Entries": entries });
        let said = self
            .call(Service::Queues, "DeleteMessageBatch", asked)
            .await?;
        let deleted = said["Successful"].as_array().cloned().unwrap_or_default();
        let ids = deleted
            .iter()
            .filter_map(|one| one["Id"].as_str()?.parse().ok());
        Ok(ids.collect())
    }

    /// How many messages the queue of a bus has, those included that were received and are not deleted.
    pub async fn queued(&self, bus: &str) -> Result<u64, CallError> {
        let names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
        ];
        let asked = json!({ "QueueUrl": self.url(bus), "AttributeNames": names });
        let said = self
            .call(Service::Queues, "GetQueueAttributes", asked)
            .await?;
        let mut all = 0_u64;
        for name in names {
            let count = said["Attributes"][name].as_str();
            let count = count.and_then(|count| count.parse::<u64>().ok());
            all += count.ok_or_else(|| {
                CallError::Unanswered(format!("GetQueueAttributes says no {name}: {said}"))
            })?;
        }
        Ok(all)
    }

    fn url(&self, bus: &str) -> String {
        format!("http://{}/{ACCOUNT}/{}", self.address, queue(bus))
    }
}

fn there_or_not(done: Result<Value, CallError>) -> Result<(), CallError> {
    match done {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_there() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns the name of the queue of a bus. A queue's name has no dots, a bus's may.
fn queue(bus: &str) -> String {
    bus.replace('.', "_")
}
