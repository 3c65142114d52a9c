//! `sql`: a query is true.

use super::{Trigger, TriggerInfo};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::section::Section;

pub(super) const INFO: TriggerInfo = TriggerInfo {
    example: "when = { sql = \"select count(*) > 100 from outbox\" }",
    what: "a query that gives one boolean gives true; it may read the tables of the run, which are its search path",
    keys: &[KeyInfo::required(
        "sql",
        Shape::Text,
        "a query that gives one boolean; the run's tables are its search path",
    )],
    read,
};

fn read(s: &mut Section<'_>, _: Option<f64>) -> Option<Trigger> {
    let entry = s.get("sql")?;
    let query = s.text(entry)?;
    if query.trim().is_empty() {
        s.problem(
            entry.span(),
            "`sql` is empty",
            format!(
                "write a query that gives one boolean, such as `{}`",
                INFO.example
            ),
        );
        return None;
    }
    Some(Trigger::Sql {
        query: query.to_owned(),
        at: entry.span().start,
    })
}
