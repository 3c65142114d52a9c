//! Who is told what happens during a run: any number of sinks, of which none knows of another.

use super::event::{Event, Happening};
use std::sync::Arc;

/// A sink takes what happens during a run, to show it or to keep it. It is called from several threads, and must not block
/// for long.
pub trait Sink: Send + Sync {
    /// Takes what has happened.
    fn take(&self, happening: &Happening);
}

/// A reporter is told of events, and hands each, with its time, to all sinks in turn.
#[derive(Clone)]
pub struct Reporter {
    sinks: Arc<[Arc<dyn Sink>]>,
    lane: Option<usize>,
}

impl Reporter {
    /// Tells these.
    pub fn to(sinks: impl IntoIterator<Item = Arc<dyn Sink>>) -> Self {
        Self {
            sinks: sinks.into_iter().collect(),
            lane: None,
        }
    }

    /// Returns a reporter that tells these as well.
    pub fn and(&self, more: impl IntoIterator<Item = Arc<dyn Sink>>) -> Self {
        Self {
            sinks: self.sinks.iter().cloned().chain(more).collect(),
            lane: self.lane,
        }
    }

    /// Returns a reporter that tells the same ones of what happens in the lane of this number.
    pub fn of_lane(&self, lane: usize) -> Self {
        Self {
            sinks: Arc::clone(&self.sinks),
            lane: Some(lane),
        }
    }

    /// Tells of an event that happens now.
    pub fn event(&self, event: Event) {
        let happening = Happening {
            at: jiff::Timestamp::now(),
            lane: self.lane,
            event,
        };
        for sink in self.sinks.iter() {
            sink.take(&happening);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct NotingSink(Mutex<Vec<Happening>>);

    impl Sink for NotingSink {
        fn take(&self, happening: &Happening) {
            self.0.lock().unwrap().push(happening.clone());
        }
    }

    #[test]
    fn given_several_sinks_then_each_is_told_all_with_lane_and_time() {
        let (one, other) = (
            Arc::new(NotingSink::default()),
            Arc::new(NotingSink::default()),
        );
        let reporter = Reporter::to([one.clone() as Arc<dyn Sink>]);
        let both = reporter.and([other.clone() as Arc<dyn Sink>]);
        let before = jiff::Timestamp::now();
        reporter.event(Event::LoadEnded);
        both.of_lane(2).event(Event::Note {
            text: "hello".to_owned(),
        });
        both.event(Event::LoadEnded);

        let told = one.0.lock().unwrap();
        let lanes: Vec<Option<usize>> = told.iter().map(|h| h.lane).collect();
        assert_eq!(lanes, [None, Some(2), None]);
        assert!(told.iter().all(|h| h.at >= before));
        assert_eq!(other.0.lock().unwrap().len(), 2);
        let text = serde_json::to_string(&told[1]).unwrap();
        assert!(
            text.ends_with(r#""lane":2,"event":"note","text":"hello"}"#),
            "{text}"
        );
    }
}
