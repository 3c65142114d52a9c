//! The timeline of one order, whatever happened to it.

use super::timeline::Subject;
use super::{Explainer, Span};
use crate::checkers::each_offence;
use crate::history::{LogRow, Outcome};
use crate::view::Class;
use reports::explanation::Order;
use uuid::Uuid;

/// An order's timeline has no more steps than this.
const MAX_STEPS: usize = 10_000;
/// Most offences of an order that are explained.
const MAX_OFFENCES: usize = 100;

impl Explainer<'_> {
    /// Returns the number of an order of this run; `None` for any other id, and for an order that was never changed.
    pub fn order_number(&self, id: Uuid) -> Option<u32> {
        let number = self.identity.order_index(id)?;
        self.knows(number).then_some(number)
    }

    /// Whether anything was offered of an order, or is stored of it.
    pub fn knows(&self, order: u32) -> bool {
        let history = self.context.history();
        history.requests.iter().any(|r| r.order == order)
            || history.truth.iter().any(|r| r.order == order)
    }

    /// Tells everything about an order.
    pub fn order(&self, order: u32) -> Order {
        let history = self.context.history();
        let join = &self.context.view.join;
        let attempts: Vec<u32> = (0u32..)
            .zip(&history.requests)
            .filter(|(_, r)| r.order == order)
            .map(|(attempt, _)| attempt)
            .collect();
        let requests = || {
            let all = attempts.iter();
            all.filter_map(|a| history.requests.get(*a as usize))
        };
        let told = |outcome| requests().filter(|r| r.outcome == outcome).count();
        let versions = join.truth.iter().filter(|r| r.order == order).count();
        let of_it = |(_, r): &(usize, LogRow)| r.order == order;
        let rows: Vec<usize> = join
            .log
            .iter()
            .enumerate()
            .filter(of_it)
            .map(|(row, _)| row)
            .collect();
        let valid = |row: &&usize| matches!(join.class(**row), Class::First | Class::Duplicate);
        let summary = format!(
            "{} attempts ({} told committed, {} told no, {} told nothing); {versions} versions in \
             the database; {} records on the topic, {} of them valid events",
            attempts.len(),
            told(Outcome::Committed),
            told(Outcome::Rejected),
            told(Outcome::Unknown) + told(Outcome::NotSent),
            rows.len(),
            rows.iter().filter(valid).count(),
        );
        let mut offences = Vec::new();
        let mut span: Option<Span> = None;
        each_offence(self.context, u64::MAX, &mut |name, metric, offence| {
            if offence.order == order && offences.len() < MAX_OFFENCES {
                span = span
                    .into_iter()
                    .chain(self.fate(metric, &offence))
                    .reduce(Span::hull);
                let mut explained = self.explain(metric, &offence);
                name.clone_into(&mut explained.metric);
                // The order's own timeline has all of it.
                explained.timeline.clear();
                offences.push(explained);
            }
        });
        // Records whose attempt is of another order, or of none, are no part of any trail here.
        let own = |row: &usize| attempts.binary_search(&join.log.at(*row).attempt).is_err();
        let records = rows.into_iter().filter(own).collect();
        Order {
            strategy: history.meta.strategy.clone(),
            order_id: self.identity.order_id(order).to_string(),
            summary,
            offences,
            timeline: self.timeline(&Subject {
                attempts,
                records,
                reads: self.reads_of(order).collect(),
                span,
                limit: MAX_STEPS,
            }),
        }
    }
}
