//! What a member of a group was given over one connection and has not acknowledged: messages by their delivery tags,
//! which are numbered from 1 in the order in which they came.

use std::collections::VecDeque;

/// A message that was given and not acknowledged.
#[derive(Debug)]
struct HeldMessage {
    tag: u64,
    body: Vec<u8>,
}

/// They are in the order in which they came; those before `next` were read.
#[derive(Debug, Default)]
pub(super) struct HeldMessages {
    messages: VecDeque<HeldMessage>,
    next: usize,
}

impl HeldMessages {
    /// Takes one more message.
    pub fn add(&mut self, tag: u64, body: Vec<u8>) {
        self.messages.push_back(HeldMessage { tag, body });
    }

    /// How many of them are to be read yet.
    pub fn unread(&self) -> usize {
        self.messages.len() - self.next
    }

    /// Reads so many at most, and shows each with its tag.
    pub fn read(&mut self, most: usize, each: &mut dyn FnMut(u64, &[u8])) {
        let end = self.messages.len().min(self.next.saturating_add(most));
        for message in self.messages.range(self.next..end) {
            each(message.tag, &message.body);
        }
        self.next = end;
    }

    /// Takes away what was read and is before this tag. Returns the last of it: to acknowledge that one and all before it
    /// acknowledges no more than was taken away. `None` where there is nothing to acknowledge.
    pub fn acknowledge_before(&mut self, tag: u64) -> Option<u64> {
        let mut last = None;
        while self.next > 0
            && let Some(message) = self.messages.pop_front_if(|message| message.tag < tag)
        {
            self.next -= 1;
            last = Some(message.tag);
        }
        last
    }

    /// Reads on from this tag, where it stands behind it.
    pub fn go_back_to(&mut self, tag: u64) {
        let before = self.messages.partition_point(|message| message.tag < tag);
        self.next = self.next.min(before);
    }

    /// Takes away what was read from this tag on, and returns the tags.
    pub fn give_back_from(&mut self, tag: u64) -> Vec<u64> {
        let first = self.messages.partition_point(|message| message.tag < tag);
        let last = self.next.max(first);
        self.next = self.next.min(first);
        let given = self.messages.drain(first..last);
        given.map(|message| message.tag).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five messages, of which so many were read.
    fn five(read: usize) -> HeldMessages {
        let mut held = HeldMessages::default();
        for tag in 1..=5 {
            held.add(tag, vec![tag as u8]);
        }
        assert_eq!(tags(&mut held, read).len(), read);
        held
    }

    fn tags(held: &mut HeldMessages, most: usize) -> Vec<u64> {
        let mut tags = Vec::new();
        held.read(most, &mut |tag, body| {
            assert_eq!(body, [tag as u8]);
            tags.push(tag);
        });
        tags
    }

    #[test]
    fn given_messages_that_were_read_when_some_are_acknowledged_then_no_other_one_is() {
        let mut held = five(3);
        assert_eq!(held.acknowledge_before(1), None);
        assert_eq!(held.acknowledge_before(3), Some(2));
        // What was not read is not acknowledged, whatever is asked for
        assert_eq!(held.acknowledge_before(6), Some(3));
        assert_eq!(held.acknowledge_before(6), None);
        assert_eq!(tags(&mut held, 9), [4, 5]);
    }

    #[test]
    fn given_messages_that_were_read_when_it_goes_back_then_they_are_read_again_in_their_order() {
        let mut held = five(4);
        held.go_back_to(2);
        assert_eq!(held.unread(), 4);
        assert_eq!(tags(&mut held, 2), [2, 3]);
        // It does not go forward
        held.go_back_to(5);
        assert_eq!(tags(&mut held, 9), [4, 5]);
    }

    #[test]
    fn given_messages_that_are_given_back_then_what_is_read_next_is_what_was_behind_them() {
        let mut held = five(3);
        assert_eq!(held.give_back_from(2), [2, 3]);
        assert_eq!(held.unread(), 2);
        assert_eq!(tags(&mut held, 9), [4, 5]);
        // And an acknowledgement names one that is still here, since the broker knows no other
        assert_eq!(held.acknowledge_before(4), Some(1));
        held.add(6, vec![6]);
        assert_eq!(held.give_back_from(6), Vec::<u64>::new());
        assert_eq!(tags(&mut held, 9), [6]);
    }
}
