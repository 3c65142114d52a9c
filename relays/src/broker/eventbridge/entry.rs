//! An event as an entry of a call, and what its entry of the answer says.

use crate::config::{EVENTBRIDGE_SOURCE, EventBridgeDetail, LooksAt};
use aws_sdk_eventbridge::operation::put_events::PutEventsOutput;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};

/// All entries of a call together have so many bytes at most, and so has one alone.
pub(super) const CALL_BYTES_MAX: usize = 256 * 1024;

/// Makes the entry of an event for this bus, and counts its bytes as EventBridge does. An Err says that there are too many.
pub(super) fn entry(
    bus: &str,
    event_type: &str,
    key: &str,
    headers: [(&str, &str); 3],
    payload: &str,
) -> Result<(PutEventsRequestEntry, usize), String> {
    let detail = EventBridgeDetail {
        key: key.into(),
        headers: headers
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        payload: payload.into(),
    };
    let detail = serde_json::to_string(&detail).map_err(|e| e.to_string())?;
    let bytes = EVENTBRIDGE_SOURCE.len() + event_type.len() + detail.len();
    if bytes > CALL_BYTES_MAX {
        return Err(format!(
            "it has {bytes} bytes as an entry, and EventBridge takes {CALL_BYTES_MAX}: let it carry less, or only where \
             the rest is found"
        ));
    }
    let entry = PutEventsRequestEntry::builder()
        .event_bus_name(bus)
        .source(EVENTBRIDGE_SOURCE)
        .detail_type(event_type)
        .detail(detail)
        .build();
    Ok((entry, bytes))
}

/// What became of one event of a call that was answered with status 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EntryFate {
    /// It is on the bus.
    Accepted,
    /// It is not, and may be put again later: too many came at once, or EventBridge had a failure of its own.
    Later(String),
    /// It is not, and never will be as it is.
    Refused(String),
}

/// Tells the fate of each of the events of a call, in their order, by what its caller looks at.
pub(super) fn fates(answer: &PutEventsOutput, count: usize, looks_at: LooksAt) -> Vec<EntryFate> {
    let of = |index: usize| match looks_at {
        LooksAt::Status => EntryFate::Accepted,
        LooksAt::Entries => answer.entries().get(index).map_or_else(
            || EntryFate::Refused("the answer has no entry for it".to_owned()),
            fate,
        ),
    };
    (0..count).map(of).collect()
}

fn fate(entry: &PutEventsResultEntry) -> EntryFate {
    let Some(code) = entry.error_code() else {
        return match entry.event_id() {
            Some(_) => EntryFate::Accepted,
            None => EntryFate::Refused("its entry of the answer says nothing".to_owned()),
        };
    };
    let reason = format!("{code}: {}", entry.error_message().unwrap_or("no reason"));
    match code {
        "ThrottlingException" | "InternalFailure" | "InternalException" => EntryFate::Later(reason),
        _ => EntryFate::Refused(reason),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn answer(codes: &[Option<&str>]) -> PutEventsOutput {
        let entries = codes.iter().map(|code| {
            let entry = PutEventsResultEntry::builder();
            match code {
                None => entry.event_id("1").build(),
                Some(code) => entry.error_code(*code).error_message("so").build(),
            }
        });
        entries
            .fold(PutEventsOutput::builder(), |answer, entry| {
                answer.entries(entry)
            })
            .failed_entry_count(1)
            .build()
    }

    #[test]
    fn given_an_answer_of_status_200_when_entries_failed_then_each_event_has_its_own_fate() {
        let answer = answer(&[
            None,
            Some("ThrottlingException"),
            Some("MalformedDetail"),
            Some("InternalFailure"),
        ]);
        let told = fates(&answer, 5, LooksAt::Entries);
        assert_eq!(told[0], EntryFate::Accepted);
        assert_eq!(
            told[1],
            EntryFate::Later("ThrottlingException: so".to_owned())
        );
        assert_eq!(
            told[2],
            EntryFate::Refused("MalformedDetail: so".to_owned())
        );
        assert!(matches!(told[3], EntryFate::Later(_)));
        // One of which it says nothing is not taken for delivered.
        assert!(matches!(told[4], EntryFate::Refused(_)));
        // The mistake
        assert_eq!(
            fates(&answer, 5, LooksAt::Status),
            vec![EntryFate::Accepted; 5]
        );
    }

    #[test]
    fn given_an_event_when_it_is_larger_than_a_call_may_be_then_it_is_refused_with_both_sizes() {
        let made = |payload: &str| entry("b", "OrderPlaced", "k", [("id", "1"); 3], payload);
        let (_, empty) = made("").unwrap();
        let fits = "x".repeat(CALL_BYTES_MAX - empty);
        assert_eq!(made(&fits).unwrap().1, CALL_BYTES_MAX);
        let reason = made(&format!("{fits}x")).unwrap_err();
        assert!(
            reason.contains("262145") && reason.contains("262144"),
            "{reason}"
        );
    }
}
