//! The topics of one strategy's events. Where there are several, their partitions are numbered across them, those of
//! the first topic first: so a record is known by partition and offset, as on one topic, and who reads a history
//! asks nothing of topics but their names.

/// These are a strategy's topics, each of as many partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    names: Vec<String>,
    /// Each of them has so many partitions, one at least.
    each: i32,
}

impl Topics {
    /// Takes their names, which are all different and one at least, and the count of partitions of each.
    pub fn new(names: Vec<String>, each: i32) -> Self {
        Self {
            names,
            each: each.max(1),
        }
    }

    /// Returns the names, in the order in which the partitions are numbered.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns one name for all of them, which no topic of a broker has where they are several: `a + b`.
    pub fn name(&self) -> String {
        self.names.join(" + ")
    }

    /// Returns how many partitions each has.
    pub fn of_each(&self) -> i32 {
        self.each
    }

    /// Returns how many partitions all of them have together.
    pub fn partitions(&self) -> i32 {
        let topics = i32::try_from(self.names.len()).unwrap_or(i32::MAX);
        topics.saturating_mul(self.each)
    }

    /// Returns which topic, by its index, has the partition of this number. Where there is one it has any.
    pub fn index_of(&self, partition: i32) -> usize {
        match self.names.len() {
            0 | 1 => 0,
            _ => usize::try_from(partition / self.each).unwrap_or(0),
        }
    }

    /// Returns the topic that has the partition of this number, and its number there; `None` where none has it.
    pub fn find(&self, partition: i32) -> Option<(&str, i32)> {
        let index = self.index_of(partition);
        let name = self.names.get(index)?;
        Some((name, partition - self.first_of(index)))
    }

    /// Returns the number, across all of them, of a partition of this topic; `None` where the topic is none of them.
    pub fn number(&self, topic: &str, partition: i32) -> Option<i32> {
        let index = self.names.iter().position(|name| name == topic)?;
        let is_its_own = self.names.len() == 1 || (0..self.each).contains(&partition);
        is_its_own.then(|| self.first_of(index) + partition)
    }

    /// Returns words for a partition: `partition 3`, or where there are several topics `partition 0 of orders.paid`.
    pub fn words(&self, partition: i32) -> String {
        match (self.names.len(), self.find(partition)) {
            (2.., Some((topic, own))) => format!("partition {own} of {topic}"),
            _ => format!("partition {partition}"),
        }
    }

    fn first_of(&self, index: usize) -> i32 {
        i32::try_from(index)
            .unwrap_or(i32::MAX)
            .saturating_mul(self.each)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn topics(names: &[&str], each: i32) -> Topics {
        Topics::new(names.iter().map(|name| (*name).to_owned()).collect(), each)
    }

    proptest! {
        #[test]
        fn given_any_topics_then_each_partition_of_each_has_a_number_of_its_own(count in 1..6_usize, each in 1..9) {
            let topics = Topics::new((0..count).map(|n| format!("t{n}")).collect(), each);
            let mut numbers = Vec::new();
            for name in topics.names() {
                for partition in 0..each {
                    let number = topics.number(name, partition).unwrap();
                    prop_assert_eq!(topics.find(number), Some((name.as_str(), partition)));
                    numbers.push(number);
                }
            }
            prop_assert_eq!(numbers, (0..topics.partitions()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn given_one_topic_then_its_partitions_keep_their_numbers_whatever_they_are() {
        let one = topics(&["orders"], 2);
        assert_eq!(one.find(7), Some(("orders", 7)));
        assert_eq!(one.number("orders", 7), Some(7));
        assert_eq!(
            (one.words(7), one.name()),
            ("partition 7".into(), "orders".into())
        );
    }

    #[test]
    fn given_several_topics_then_a_place_names_its_topic_and_what_is_none_of_theirs_has_no_number()
    {
        let two = topics(&["orders.created", "orders.paid"], 3);
        assert_eq!(two.words(4), "partition 1 of orders.paid");
        assert_eq!(two.name(), "orders.created + orders.paid");
        assert_eq!(two.number("orders.paid", 3), None);
        assert_eq!(two.number("orders", 0), None);
        assert_eq!(two.find(6), None);
        assert_eq!(two.words(6), "partition 6");
    }
}
