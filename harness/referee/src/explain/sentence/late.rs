//! It came, but too late: where it waited longest.

use crate::checkers::Offence;
use crate::explain::Explainer;
use crate::explain::words::Sentence;
use crate::history::{Request, Stage};
use crate::view::Span;

impl Explainer<'_> {
    /// Explains where an event that was first seen late had waited longest; `None` if its version, record or
    /// request is unknown.
    pub(super) fn late(&self, offence: &Offence) -> Option<String> {
        let slot = self.slot(offence)?;
        let join = &self.context.view.join;
        let row = join.first_row(slot)?;
        let trail = self.trail(offence.attempt);
        let request: Request = trail.request?;
        let appended_ns = self.appended_ns(row);
        let seen_ns = join.seen(slot).or(appended_ns)?;
        let mut told = Sentence::default();
        told.say(self.commit(&trail));
        told.say(format!(
            "first seen at {}, {:.3} s after its answer",
            self.at(seen_ns),
            seen_ns.saturating_sub(request.ended_ns) as f64 / 1e9
        ));
        let mut stops: Vec<(i64, &str)> = Vec::new();
        let commit = trail.committed_ns();
        stops.push(match commit {
            Some(at_ns) => (at_ns, "its commit"),
            None => (request.ended_ns, "the end of its request"),
        });
        let passages = trail.passages(self.publisher());
        for passage in &passages {
            let taken = passage.taken.map(|r| match r.stage {
                Stage::Decoded => (r.at_ns, "the relay's reading it"),
                _ => (r.at_ns, "the relay's claim"),
            });
            let handed = passage
                .handed_ns
                .map(|ns| (ns, "its handing to the producer"));
            stops.extend(taken.into_iter().chain(handed));
        }
        if !passages.is_empty() {
            // Where its sight is all that is known of its append, nothing tells the two apart.
            let known_ns = appended_ns.filter(|ns| *ns != seen_ns);
            stops.extend(known_ns.map(|ns| (ns, "its append to the topic")));
        }
        stops.push((seen_ns, "its first sight"));
        stops.retain(|(at_ns, _)| *at_ns <= seen_ns);
        stops.sort_by_key(|(at_ns, _)| *at_ns);
        let longest = stops
            .windows(2)
            .max_by_key(|pair| pair[1].0.saturating_sub(pair[0].0));
        if let Some([from, until]) = longest {
            let span = Span {
                from_ns: from.0,
                until_ns: until.0,
            };
            told.say(format!(
                "it waited longest, {:.3} s, between {} and {}",
                until.0.saturating_sub(from.0) as f64 / 1e9,
                from.1,
                until.1
            ));
            told.maybe(self.meanwhile(span));
        }
        Some(told.ending("late"))
    }
}
