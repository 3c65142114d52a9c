//! The name of a consumer's process, such as `consumer-payments`, which is copied wherever a fault or a process is.

use super::consumer::PREFIX;
use super::limits;
use super::strategies::name_problem;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// So many different names one program ever has: scenario files have eight each.
const MOST: usize = 4096;

static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// This is the name of a consumer's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsumerName(&'static str);

impl ConsumerName {
    /// Returns the name of this process; `None` where no consumer's can be called so, or where there are too many.
    pub fn of_process(process: &str) -> Option<Self> {
        let name = process.strip_prefix(PREFIX)?;
        if name_problem(name, limits::CONSUMER_NAME).is_some() {
            return None;
        }
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get(process) {
            return Some(Self(known));
        }
        if names.len() >= MOST {
            return None;
        }
        // It lives as long as the program, as all other names of processes do; see MOST.
        let name: &'static str = Box::leak(process.to_owned().into_boxed_str());
        names.insert(name);
        Some(Self(name))
    }

    /// Returns the name, with `consumer-`.
    pub fn process(self) -> &'static str {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_names_of_processes_then_those_of_consumers_are_the_same_each_time() {
        let name = ConsumerName::of_process("consumer-payments");
        assert_eq!(name.map(ConsumerName::process), Some("consumer-payments"));
        assert_eq!(ConsumerName::of_process("consumer-payments"), name);
        for other in ["consumer-", "consumer-a b", "relay", "payments", ""] {
            assert_eq!(ConsumerName::of_process(other), None, "{other}");
        }
    }
}
