//! All connections of one side of a proxy: what they carried since counting began, how many were opened, and
//! how many ended.

use super::sockets::{CLOSE_WAIT, ESTABLISHED, Socket};
use std::collections::{HashMap, HashSet};

/// One connection's counters when it was last seen, and when counting began.
#[derive(Debug, Clone, Copy)]
struct Flow {
    last: Socket,
    base: Counters,
    alive: bool,
}

/// These count bytes and data segments, both ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub sent_segments: u64,
    pub received_segments: u64,
}

impl Counters {
    fn of(socket: &Socket) -> Self {
        Self {
            sent_bytes: socket.sent_bytes,
            received_bytes: socket.received_bytes,
            sent_segments: u64::from(socket.sent_segments),
            received_segments: u64::from(socket.received_segments),
        }
    }

    fn since(self, base: Self) -> Self {
        Self {
            sent_bytes: self.sent_bytes.saturating_sub(base.sent_bytes),
            received_bytes: self.received_bytes.saturating_sub(base.received_bytes),
            sent_segments: self.sent_segments.saturating_sub(base.sent_segments),
            received_segments: self
                .received_segments
                .saturating_sub(base.received_segments),
        }
    }

    fn add(&mut self, other: Self) {
        self.sent_bytes += other.sent_bytes;
        self.received_bytes += other.received_bytes;
        self.sent_segments += other.sent_segments;
        self.received_segments += other.received_segments;
    }
}

/// This counts all connections of one side of a proxy, since the last [`Side::mark`].
#[derive(Debug, Default)]
pub(super) struct Side {
    flows: HashMap<u64, Flow>,
    /// Counters of connections that are gone.
    gone: Counters,
    most_gone: Counters,
    opened: u64,
    ended: u64,
    /// Received by the kernel when it was last looked, and not yet read.
    pub unread_bytes: u64,
    /// So many bytes were sent, and are not yet acknowledged.
    pub unacked_bytes: u64,
}

impl Side {
    /// Takes the present state of all its sockets; one that is missing is gone.
    pub fn update<'a>(&mut self, sockets: impl Iterator<Item = &'a Socket>) {
        let mut seen = HashSet::new();
        (self.unread_bytes, self.unacked_bytes) = (0, 0);
        for socket in sockets {
            seen.insert(socket.cookie);
            self.unread_bytes += u64::from(socket.unread_bytes);
            self.unacked_bytes += u64::from(socket.unacked_bytes);
            let alive = socket.state == ESTABLISHED;
            // A socket first met while it closes from this end is a probe's or an old one.
            let known = self.flows.contains_key(&socket.cookie);
            if !known && !matches!(socket.state, ESTABLISHED | CLOSE_WAIT) {
                continue;
            }
            let flow = self.flows.entry(socket.cookie).or_insert_with(|| {
                self.opened += 1;
                Flow {
                    last: *socket,
                    base: Counters::default(),
                    alive: true,
                }
            });
            flow.last = keeping_counters(*socket, &flow.last);
            if flow.alive && !alive {
                flow.alive = false;
                self.ended += 1;
            }
        }
        let (gone, most, ended) = (&mut self.gone, &mut self.most_gone, &mut self.ended);
        self.flows.retain(|cookie, flow| {
            let keep = seen.contains(cookie);
            if !keep {
                let counted = Counters::of(&flow.last).since(flow.base);
                gone.add(counted);
                *most = larger(*most, counted);
                *ended += u64::from(flow.alive);
            }
            keep
        });
    }

    /// Counting begins anew: what was there so far counts from its present state on.
    pub fn mark(&mut self) {
        for flow in self.flows.values_mut() {
            flow.base = Counters::of(&flow.last);
        }
        self.gone = Counters::default();
        self.most_gone = Counters::default();
        (self.opened, self.ended) = (0, 0);
    }

    /// Connections that are established.
    pub fn established(&self) -> usize {
        self.flows.values().filter(|f| f.alive).count()
    }

    /// Returns how many connections were opened since the mark.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// Returns how many connections ended since the mark.
    pub fn ended(&self) -> u64 {
        self.ended
    }

    /// Returns what all connections together carried since the mark.
    pub fn total(&self) -> Counters {
        let mut sum = self.gone;
        for flow in self.flows.values() {
            sum.add(Counters::of(&flow.last).since(flow.base));
        }
        sum
    }

    /// All living connections together, since they were opened.
    pub fn carried(&self) -> Counters {
        let mut sum = Counters::default();
        for flow in self.flows.values().filter(|f| f.alive) {
            sum.add(Counters::of(&flow.last));
        }
        sum
    }

    /// Returns the most that any one connection carried since the mark, each counter by itself.
    pub fn most(&self) -> Counters {
        self.flows
            .values()
            .map(|f| Counters::of(&f.last).since(f.base))
            .fold(self.most_gone, larger)
    }

    /// Counts the living connections that sent something since the mark and received nothing.
    pub fn silent(&self) -> usize {
        self.flows
            .values()
            .filter(|f| f.alive)
            .map(|f| Counters::of(&f.last).since(f.base))
            .filter(|c| c.sent_bytes > 0 && c.received_bytes == 0)
            .count()
    }
}

/// The kernel keeps no counters for a connection that is closed and only waits for the other side
/// (FIN_WAIT_2, TIME_WAIT): it reports zeros. What it carried before still counts.
fn keeping_counters(now: Socket, before: &Socket) -> Socket {
    Socket {
        sent_bytes: now.sent_bytes.max(before.sent_bytes),
        received_bytes: now.received_bytes.max(before.received_bytes),
        sent_segments: now.sent_segments.max(before.sent_segments),
        received_segments: now.received_segments.max(before.received_segments),
        ..now
    }
}

fn larger(a: Counters, b: Counters) -> Counters {
    Counters {
        sent_bytes: a.sent_bytes.max(b.sent_bytes),
        received_bytes: a.received_bytes.max(b.received_bytes),
        sent_segments: a.sent_segments.max(b.sent_segments),
        received_segments: a.received_segments.max(b.received_segments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::socket;

    const SYN_SENT: u8 = 2;
    const FIN_WAIT_1: u8 = 4;
    const TIME_WAIT: u8 = 6;
    const LAST_ACK: u8 = 9;

    fn side(sockets: &[Socket]) -> Side {
        let mut side = Side::default();
        side.update(sockets.iter());
        side
    }

    fn counters(socket: [u64; 4]) -> Counters {
        let [sent_bytes, received_bytes, sent_segments, received_segments] = socket;
        Counters {
            sent_bytes,
            received_bytes,
            sent_segments,
            received_segments,
        }
    }

    /// A connection with all four counters.
    fn counted(cookie: u64, state: u8, counted: [u32; 4]) -> Socket {
        let [sent_bytes, received_bytes, sent_segments, received_segments] = counted;
        Socket {
            sent_segments,
            received_segments,
            ..socket(cookie, state, sent_bytes.into(), received_bytes.into())
        }
    }

    #[test]
    fn what_a_connection_carried_is_kept_while_it_waits_without_counters() {
        let mut side = side(&[counted(1, ESTABLISHED, [100, 10, 4, 3])]);
        side.mark();
        side.update([counted(1, ESTABLISHED, [150, 30, 9, 5])].iter());
        side.update([counted(1, TIME_WAIT, [0, 0, 0, 0])].iter());
        assert_eq!(side.total(), counters([50, 20, 5, 2]));
        side.update([].iter());
        assert_eq!(side.total(), counters([50, 20, 5, 2]));
    }

    #[test]
    fn what_a_connection_carried_is_kept_when_it_is_gone() {
        let mut side = side(&[socket(1, ESTABLISHED, 100, 10)]);
        side.mark();
        side.update(
            [
                socket(1, ESTABLISHED, 150, 10),
                socket(2, ESTABLISHED, 30, 0),
            ]
            .iter(),
        );
        assert_eq!(side.total().sent_bytes, 80);
        assert_eq!((side.silent(), side.opened(), side.ended()), (2, 1, 0));

        side.update([socket(2, CLOSE_WAIT, 31, 0)].iter());
        assert_eq!((side.established(), side.ended()), (0, 2));
        side.update([].iter());
        assert_eq!(side.total().sent_bytes, 81);
        assert_eq!(side.most().sent_bytes, 50);
        assert_eq!((side.established(), side.opened(), side.ended()), (0, 1, 2));
    }

    #[test]
    fn given_connections_that_stand_and_that_are_gone_then_all_they_carried_is_the_total() {
        // Given two that are gone, each with more of something
        let mut side = side(&[
            counted(1, ESTABLISHED, [1000, 20, 30, 4]),
            counted(2, ESTABLISHED, [100, 200, 3, 40]),
        ]);
        side.update([].iter());
        // And two that stand
        let standing = [
            counted(3, ESTABLISHED, [5, 6, 7, 8]),
            counted(4, ESTABLISHED, [50, 60, 70, 80]),
        ];
        side.update(standing.iter());
        assert_eq!(side.total(), counters([1155, 286, 110, 132]));
        // Then the most that one carried is each counter's by itself,
        assert_eq!(side.most(), counters([1000, 200, 70, 80]));
        // and what is carried by those that stand is counted from their beginning.
        side.mark();
        assert_eq!(side.total(), Counters::default());
        assert_eq!(side.most(), Counters::default());
        assert_eq!(side.carried(), counters([55, 66, 77, 88]));
    }

    #[test]
    fn given_counting_begun_anew_then_only_what_came_later_was_opened_and_ended() {
        let mut side = side(&[socket(1, ESTABLISHED, 1, 1), socket(2, ESTABLISHED, 1, 1)]);
        side.update([socket(1, ESTABLISHED, 1, 1)].iter());
        assert_eq!((side.established(), side.opened(), side.ended()), (1, 2, 1));
        side.mark();
        assert_eq!((side.established(), side.opened(), side.ended()), (1, 0, 0));
        side.update([socket(3, ESTABLISHED, 1, 1), socket(4, ESTABLISHED, 1, 1)].iter());
        assert_eq!((side.established(), side.opened(), side.ended()), (2, 2, 1));
    }

    #[test]
    fn a_connection_ends_once_however_many_steps_its_end_takes() {
        let mut side = side(&[socket(1, ESTABLISHED, 7, 7)]);
        for state in [CLOSE_WAIT, LAST_ACK, TIME_WAIT] {
            side.update([socket(1, state, 7, 7)].iter());
            assert_eq!((side.established(), side.ended()), (0, 1));
            assert_eq!(side.carried(), Counters::default());
        }
        side.update([].iter());
        assert_eq!((side.established(), side.opened(), side.ended()), (0, 1, 1));
    }

    #[test]
    fn a_connection_that_is_closed_from_here_ends_with_what_it_carried_last() {
        let mut side = side(&[socket(1, ESTABLISHED, 7, 7)]);
        side.update([socket(1, FIN_WAIT_1, 9, 8)].iter());
        assert_eq!((side.established(), side.ended()), (0, 1));
        assert_eq!(side.total().sent_bytes, 9);
        side.update([].iter());
        assert_eq!((side.opened(), side.ended()), (1, 1));
        assert_eq!(side.total().sent_bytes, 9);
    }

    #[test]
    fn one_that_is_first_met_while_the_other_end_has_closed_was_opened_and_ended_between_looks() {
        let side = side(&[socket(1, CLOSE_WAIT, 7, 8)]);
        assert_eq!((side.established(), side.opened(), side.ended()), (0, 1, 1));
        assert_eq!(side.total().sent_bytes, 7);
    }

    #[test]
    fn one_that_does_not_stand_yet_or_closes_from_here_when_first_met_is_no_connection() {
        for state in [SYN_SENT, FIN_WAIT_1, TIME_WAIT] {
            let mut side = side(&[socket(1, state, 7, 8)]);
            assert_eq!((side.established(), side.opened(), side.ended()), (0, 0, 0));
            assert_eq!(side.total(), Counters::default());
            side.update([].iter());
            assert_eq!((side.opened(), side.ended()), (0, 0));
        }
    }

    #[test]
    fn bytes_that_wait_are_those_of_the_last_look_on_whatever_socket() {
        let waiting = |cookie, state, unread_bytes, unacked_bytes| Socket {
            unread_bytes,
            unacked_bytes,
            ..socket(cookie, state, 0, 0)
        };
        let mut side = side(&[
            waiting(1, ESTABLISHED, 10, 300),
            waiting(2, FIN_WAIT_1, 5, 40),
        ]);
        assert_eq!((side.unread_bytes, side.unacked_bytes), (15, 340));
        side.update([waiting(1, ESTABLISHED, 1, 2)].iter());
        assert_eq!((side.unread_bytes, side.unacked_bytes), (1, 2));
    }

    #[test]
    fn silent_is_who_stands_and_sent_and_received_nothing() {
        let side = side(&[
            socket(1, ESTABLISHED, 1, 0),
            socket(2, ESTABLISHED, 1, 1),
            socket(3, ESTABLISHED, 0, 0),
            socket(4, ESTABLISHED, 0, 1),
            socket(5, CLOSE_WAIT, 1, 0),
        ]);
        assert_eq!(side.silent(), 1);
    }

    #[test]
    fn silent_is_since_counting_began() {
        // Given an answer from before
        let mut side = side(&[socket(1, ESTABLISHED, 5, 5)]);
        side.mark();
        assert_eq!(side.silent(), 0);
        // When it asks again
        side.update([socket(1, ESTABLISHED, 6, 5)].iter());
        assert_eq!(side.silent(), 1);
        side.update([socket(1, ESTABLISHED, 6, 6)].iter());
        assert_eq!(side.silent(), 0);
    }
}
