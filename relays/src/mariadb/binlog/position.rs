//! A position in the binlog: behind which group of events, in each replication domain. As MariaDB writes it: `0-1-42,7-1-3`.

use super::event::Gtid;
use std::fmt;
use std::str::FromStr;

/// A server has a domain or two; a text with more than this is none of its.
const DOMAINS_MAX: usize = 256;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogPosition {
    /// One of each domain, the last group that is before the position; in the order of the domains.
    groups: Vec<Gtid>,
}

impl LogPosition {
    /// Goes on behind this group.
    pub fn advance(&mut self, gtid: Gtid) {
        match self.place_of(gtid.domain) {
            Ok(place) => self.groups[place] = gtid,
            Err(place) => self.groups.insert(place, gtid),
        }
    }

    fn place_of(&self, domain: u32) -> Result<usize, usize> {
        self.groups
            .binary_search_by_key(&domain, |gtid| gtid.domain)
    }

    /// Whether a log that begins at `first` has everything that is behind this position.
    pub fn is_continued_by(&self, first: &Self) -> bool {
        first.groups.iter().all(|before| {
            let own = self.place_of(before.domain).map(|place| self.groups[place]);
            own.is_ok_and(|own| own.number >= before.number)
        })
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, gtid) in self.groups.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}-{}-{}", gtid.domain, gtid.server, gtid.number)?;
        }
        Ok(())
    }
}

impl FromStr for LogPosition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{text}` is no position in a binlog: it is like `0-1-42`, one of each domain")
        };
        let mut position = Self::default();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let mut numbers = part.splitn(3, '-');
            let mut next = || numbers.next().ok_or_else(wrong);
            let gtid = Gtid {
                domain: next()?.parse().map_err(|_| wrong())?,
                server: next()?.parse().map_err(|_| wrong())?,
                number: next()?.parse().map_err(|_| wrong())?,
            };
            if position.place_of(gtid.domain).is_ok() || position.groups.len() == DOMAINS_MAX {
                return Err(wrong());
            }
            position.advance(gtid);
        }
        Ok(position)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn given_any_groups_when_they_are_passed_then_the_position_is_behind_the_last_of_each_domain_and_survives_its_text(
            passed in proptest::collection::vec((0_u32..5, 1_u32..3, 1_u64..100), 0..40),
        ) {
            let (mut position, mut model) = (LogPosition::default(), BTreeMap::new());
            for (domain, server, number) in passed {
                position.advance(Gtid { domain, server, number });
                model.insert(domain, (server, number));
            }
            let text: Vec<String> = model.iter().map(|(d, (s, n))| format!("{d}-{s}-{n}")).collect();
            prop_assert_eq!(position.to_string(), text.join(","));
            prop_assert_eq!(position.to_string().parse(), Ok(position));
        }

        #[test]
        fn given_any_text_when_it_is_read_then_it_is_a_position_or_an_error(text: String) {
            let _ = text.parse::<LogPosition>();
        }
    }

    #[test]
    fn given_what_is_no_position_then_the_error_shows_one() {
        for wrong in ["0-1", "0-1-x", "a-1-2", "0-1-2-3", "0-1-2,0-1-3"] {
            let error = wrong.parse::<LogPosition>().unwrap_err();
            assert!(error.contains("like `0-1-42`"), "{error}");
        }
        assert_eq!("".parse(), Ok(LogPosition::default()));
    }

    #[test]
    fn given_a_log_that_begins_later_when_it_is_asked_for_a_position_then_it_does_not_continue_it()
    {
        let position = |text: &str| text.parse::<LogPosition>().unwrap();
        let own = position("0-1-10,2-1-4");
        for (first, is_whole) in [
            ("", true),
            ("0-1-10", true),
            ("0-1-9,2-1-4", true),
            ("0-1-11", false),
            ("0-1-1,2-1-5", false),
            ("1-1-1", false),
        ] {
            assert_eq!(own.is_continued_by(&position(first)), is_whole, "{first}");
        }
    }
}
