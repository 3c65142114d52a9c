//! Why a record did not verify, where its full text was kept.

use super::context::Context;

/// The reason noted with the raw record, if it is among those kept.
pub fn raw_reason(context: &Context<'_>, row: usize) -> String {
    let record = context.view.join.log.at(row);
    context
        .history()
        .raw
        .iter()
        .find(|raw| raw.partition == record.partition && raw.offset == record.offset)
        .map_or_else(String::new, |raw| format!(": {}", raw.reason))
}
