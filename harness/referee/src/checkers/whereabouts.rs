//! What may have become of events that are missing from the topic, as far as another look tells.

use super::context::Context;
use crate::scenario::Metric;

/// Returns a clause for the reason of a count of missing events; it is empty where nothing is known.
pub(super) fn hint(context: &Context<'_>, metric: Metric) -> String {
    let history = context.history();
    let stray = &history.meta.stray_topics;
    if metric == Metric::Lost && !stray.is_empty() {
        return format!(
            "; events of this run are on other topics: {}",
            stray.join(", ")
        );
    }
    let missing = matches!(metric, Metric::Lost | Metric::Undrained);
    let strategy = crate::view::strategy(history);
    let theirs = strategy.and_then(|strategy| strategy.kind.relay_file());
    if missing && theirs.is_some() && history.log.is_empty() {
        return "; nothing at all came to its topic: was the relay given `${topic}`?".to_owned();
    }
    String::new()
}
