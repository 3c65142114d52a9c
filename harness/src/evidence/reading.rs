//! What one look at a link tells, by kind of fault; the names are those of [`crate::bite::name`].

use super::side::Counters;
use super::traffic::Traffic;
use crate::bite::{LinkReading, name, needs};
use crate::process::stillness::Threads;
use crate::scenario::{FaultKind, Stream};

/// A reading is a name and its value.
pub(super) type Reading = (&'static str, f64);

/// Returns the readings of a link. `held` is the bytes the proxy held when counting began, to the server and back.
/// What cannot be seen is left out.
pub(super) fn of_link(kind: FaultKind, traffic: &Traffic, held: (u64, u64)) -> Vec<Reading> {
    let near = traffic.near();
    let total = near.total();
    let both = total.sent_bytes + total.received_bytes;
    let mut readings = vec![
        (name::SOCKETS, near.established() as f64),
        (name::NEAR_BYTES, both as f64),
    ];
    let (_, stream) = kind.aim();
    let way = ProxyFlow::of(traffic, stream);
    for reading in needs(kind).readings {
        let (name, value) = match reading {
            LinkReading::InBytes => (name::IN_BYTES, way.into.map(|c| c.bytes)),
            LinkReading::InBytesWithHeld => {
                let held = one_way(held, stream);
                (name::IN_BYTES, way.into.map(|c| c.bytes + held))
            }
            LinkReading::OutBytes => (name::OUT_BYTES, way.out.map(|c| c.bytes)),
            LinkReading::MostOutBytes => (name::MOST_OUT_BYTES, way.most_out_bytes),
            LinkReading::QueuedBytes => {
                let queued = one_way(traffic.queued(), stream);
                (name::QUEUED_BYTES, Some(queued))
            }
            LinkReading::InSegments => (name::IN_SEGMENTS, way.into.map(|c| c.segments)),
            LinkReading::OutSegments => (name::OUT_SEGMENTS, way.out.map(|c| c.segments)),
            LinkReading::Silent => (name::SILENT, Some(near.silent() as u64)),
            LinkReading::Opened => (name::OPENED, Some(near.opened())),
            LinkReading::Ended => (name::ENDED, Some(near.ended())),
            LinkReading::FarSockets => (name::FAR_SOCKETS, traffic.far_sockets().map(|n| n as u64)),
        };
        readings.extend(value.map(|value| (name, value as f64)));
    }
    readings
}

/// Returns the readings of a process: all threads of its tree.
pub(super) fn of_process(threads: Threads) -> [Reading; 3] {
    [
        (name::THREADS, f64::from(threads.total)),
        (name::THREADS_STOPPED, f64::from(threads.stopped)),
        (name::CPU_TICKS, threads.cpu_ticks as f64),
    ]
}

/// So much went one way on one side of the proxy.
#[derive(Clone, Copy)]
struct Counted {
    bytes: u64,
    segments: u64,
}

/// What goes in and comes out of the proxy in a toxic's direction, and the most on one connection;
/// `None` on a side that cannot be seen.
struct ProxyFlow {
    into: Option<Counted>,
    out: Option<Counted>,
    most_out_bytes: Option<u64>,
}

impl ProxyFlow {
    fn of(traffic: &Traffic, stream: Stream) -> Self {
        let (near, far) = (traffic.near(), traffic.far());
        let sent = |c: Counters| Counted {
            bytes: c.sent_bytes,
            segments: c.sent_segments,
        };
        let received = |c: Counters| Counted {
            bytes: c.received_bytes,
            segments: c.received_segments,
        };
        match stream {
            Stream::Upstream => Self {
                into: Some(sent(near.total())),
                out: far.map(|f| sent(f.total())),
                most_out_bytes: far.map(|f| f.most().sent_bytes),
            },
            Stream::Downstream => Self {
                into: far.map(|f| received(f.total())),
                out: Some(received(near.total())),
                most_out_bytes: Some(near.most().received_bytes),
            },
        }
    }
}

/// Of what there is to the server and back, that in a toxic's direction.
fn one_way((to_server, back): (u64, u64), stream: Stream) -> u64 {
    match stream {
        Stream::Upstream => to_server,
        Stream::Downstream => back,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{PROXY, SERVER, held, leads, link, socket, take};
    use crate::evidence::sockets::{CLOSE_WAIT, ESTABLISHED, Socket};
    use crate::scenario::Toxic;

    /// A connection with other counts in each of its fields.
    fn near() -> Socket {
        let counted = Socket {
            sent_segments: 30,
            received_segments: 4,
            unacked_bytes: 5,
            ..socket(1, ESTABLISHED, 1_000, 200)
        };
        leads(counted, 50_000, PROXY)
    }

    fn far(cookie: u64, sent_bytes: u64, received_bytes: u64) -> Socket {
        let counted = Socket {
            sent_segments: 60,
            received_segments: 8,
            unread_bytes: 9,
            ..socket(cookie, ESTABLISHED, sent_bytes, received_bytes)
        };
        held(leads(counted, 50_001, SERVER))
    }

    /// Three of the system's connections, one of them ended and one silent, and two of the proxy's.
    fn both_sides() -> Traffic {
        let mut link = link();
        let silent = leads(socket(2, ESTABLISHED, 1, 0), 50_002, PROXY);
        let ended = leads(socket(3, CLOSE_WAIT, 0, 0), 50_003, PROXY);
        take(
            &mut link,
            &[near(), silent, ended, far(4, 500, 40), far(5, 70, 6)],
        );
        link
    }

    /// What is read of a link under any fault.
    const ANY: [Reading; 2] = [(name::SOCKETS, 2.0), (name::NEAR_BYTES, 1_201.0)];

    fn read(link: &Traffic, toxic: Toxic, stream: Stream) -> Vec<Reading> {
        let kind = FaultKind::Toxic {
            toxic,
            stream,
            toxicity: 1.0,
        };
        let mut readings = of_link(kind, link, (10_000, 20_000));
        let own = readings.split_off(2);
        let sockets = link.near().established();
        assert_eq!(readings[0], (name::SOCKETS, sockets as f64));
        assert_eq!(readings[1], ANY[1]);
        own
    }

    const NARROW: Toxic = Toxic::Bandwidth { rate: 1 };
    const SWALLOW: Toxic = Toxic::Timeout { timeout: 0 };
    const LIMIT: Toxic = Toxic::LimitData { bytes: 1 };
    const RESET: Toxic = Toxic::ResetPeer { timeout: 0 };
    const LINGER: Toxic = Toxic::SlowClose { delay: 1 };
    const SLOW: Toxic = Toxic::Latency {
        latency: 1,
        jitter: 0,
    };
    const SLICE: Toxic = Toxic::Slicer {
        average_size: 2,
        size_variation: 1,
        delay: 1,
    };

    #[test]
    fn upstream_goes_in_at_the_near_side_and_comes_out_at_the_far_side() {
        let link = both_sides();
        let read = |toxic| read(&link, toxic, Stream::Upstream);
        let bytes = [(name::IN_BYTES, 1_001.0), (name::OUT_BYTES, 570.0)];
        let most = (name::MOST_OUT_BYTES, 500.0);
        let ends = [(name::OPENED, 3.0), (name::ENDED, 1.0)];
        let queued = (name::QUEUED_BYTES, 5.0);
        assert_eq!(read(NARROW), [&bytes[..], &[most, queued]].concat());
        let with_held = [(name::IN_BYTES, 11_001.0), bytes[1]];
        assert_eq!(
            read(SWALLOW),
            [&with_held[..], &[(name::SILENT, 1.0)]].concat()
        );
        let segments = [(name::IN_SEGMENTS, 32.0), (name::OUT_SEGMENTS, 120.0)];
        assert_eq!(read(SLICE), [bytes, segments].concat());
        assert_eq!(read(LIMIT), [&bytes[..], &[most], &ends].concat());
        assert_eq!(read(RESET), ends);
        assert_eq!(read(LINGER), [(name::FAR_SOCKETS, 2.0)]);
        assert!(read(SLOW).is_empty());
    }

    #[test]
    fn downstream_goes_in_at_the_far_side_and_comes_out_at_the_near_side() {
        let link = both_sides();
        let read = |toxic| read(&link, toxic, Stream::Downstream);
        let bytes = [(name::IN_BYTES, 46.0), (name::OUT_BYTES, 200.0)];
        let most = (name::MOST_OUT_BYTES, 200.0);
        let ends = [(name::OPENED, 3.0), (name::ENDED, 1.0)];
        let queued = (name::QUEUED_BYTES, 18.0);
        assert_eq!(read(NARROW), [&bytes[..], &[most, queued]].concat());
        let with_held = [(name::IN_BYTES, 20_046.0), bytes[1]];
        assert_eq!(
            read(SWALLOW),
            [&with_held[..], &[(name::SILENT, 1.0)]].concat()
        );
        let segments = [(name::IN_SEGMENTS, 16.0), (name::OUT_SEGMENTS, 6.0)];
        assert_eq!(read(SLICE), [bytes, segments].concat());
        assert_eq!(read(LIMIT), [&bytes[..], &[most], &ends].concat());
        assert_eq!(read(RESET), ends);
        assert_eq!(read(LINGER), [(name::FAR_SOCKETS, 2.0)]);
        assert!(read(SLOW).is_empty());
    }

    #[test]
    fn given_a_far_side_out_of_sight_then_nothing_is_read_of_it() {
        let mut link = link();
        let silent = leads(socket(2, ESTABLISHED, 1, 0), 50_002, PROXY);
        take(&mut link, &[near(), silent]);
        let names = |toxic, stream| -> Vec<&str> {
            let readings = read(&link, toxic, stream).into_iter();
            readings.map(|(name, _)| name).collect()
        };
        let (up, down) = (Stream::Upstream, Stream::Downstream);
        assert_eq!(names(NARROW, up), [name::IN_BYTES, name::QUEUED_BYTES]);
        let out = [name::OUT_BYTES, name::MOST_OUT_BYTES, name::QUEUED_BYTES];
        assert_eq!(names(NARROW, down), out);
        assert_eq!(names(SWALLOW, up), [name::IN_BYTES, name::SILENT]);
        assert_eq!(names(SWALLOW, down), [name::OUT_BYTES, name::SILENT]);
        assert_eq!(names(SLICE, up), [name::IN_BYTES, name::IN_SEGMENTS]);
        assert_eq!(names(SLICE, down), [name::OUT_BYTES, name::OUT_SEGMENTS]);
        let ends = [name::OPENED, name::ENDED];
        assert_eq!(names(LIMIT, up), [&[name::IN_BYTES], &ends[..]].concat());
        assert_eq!(names(LIMIT, down), [&out[..2], &ends].concat());
        assert_eq!(names(RESET, up), ends);
        assert_eq!(names(LINGER, up), [""; 0]);
    }

    #[test]
    fn of_what_is_no_toxic_the_connections_and_their_bytes_are_enough() {
        for kind in [
            FaultKind::Down,
            FaultKind::Kill,
            FaultKind::Restart,
            FaultKind::Pause,
        ] {
            assert_eq!(of_link(kind, &both_sides(), (1, 1)), ANY);
        }
    }

    #[test]
    fn of_a_process_its_threads_and_their_time_are_read() {
        let threads = Threads {
            total: 5,
            stopped: 3,
            cpu_ticks: 70,
        };
        let readings = [
            (name::THREADS, 5.0),
            (name::THREADS_STOPPED, 3.0),
            (name::CPU_TICKS, 70.0),
        ];
        assert_eq!(of_process(threads), readings);
    }
}
