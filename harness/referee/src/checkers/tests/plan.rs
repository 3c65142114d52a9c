//! What is planted in a run, by chance: of every version of every order, what the client was told, what
//! became of the event, where and when it appeared, and what else was on the topic.

use proptest::prelude::*;

/// What the client was told of a committed version.
#[derive(Debug, Clone, Copy)]
pub(super) enum PlannedAnswer {
    Yes,
    No,
    Nothing,
    /// Nothing, and so many repetitions that were told nothing either.
    NothingEver(u8),
    /// Nothing, and yes when it asked again.
    YesWhenRepeated,
    /// Nothing, and no when it asked again.
    NoWhenRepeated,
}

/// What became of its event.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sent {
    Once,
    Times(u8),
    Never,
    Held,
    HeldToo,
    Damaged,
    DamagedAndHeld,
    DamagedFirst,
    UnderAnotherKey,
    AsAnotherVersion,
}

/// What else happens around a version.
#[derive(Debug, Clone, Copy)]
pub(super) enum Beside {
    Nothing,
    /// Written and rolled back, and so many events of it.
    RolledBack(u8),
    /// The same, at the version that is committed next.
    RolledBackAtThisVersion,
    /// Rolled back, while its row is still held somewhere.
    RolledBackAndHeld,
    NotSent,
    Foreign,
    /// A promise of a version that is not there.
    EmptyPromise,
    /// A promise of this version, which another change made.
    BrokenPromise,
    /// The change of this version is applied again as the next one, and published.
    AppliedAgain,
}

/// One version's fates; partitions and delays are of each copy of its event.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) answer: PlannedAnswer,
    pub(super) sent: Sent,
    pub(super) beside: Beside,
    /// Per copy: on another partition than its order's; not seen live.
    pub(super) strays: Vec<bool>,
    pub(super) unseen: Vec<bool>,
    pub(super) late: bool,
}

/// An order's versions, and how far from their order its events are appended: swaps of neighbours.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) versions: Vec<Version>,
    pub(super) swaps: Vec<usize>,
}

fn version() -> impl Strategy<Value = Version> {
    let answer = prop_oneof![
        12 => Just(PlannedAnswer::Yes),
        1 => Just(PlannedAnswer::No),
        1 => Just(PlannedAnswer::Nothing),
        1 => (1..3u8).prop_map(PlannedAnswer::NothingEver),
        1 => Just(PlannedAnswer::YesWhenRepeated),
        1 => Just(PlannedAnswer::NoWhenRepeated),
    ];
    let sent = prop_oneof![
        12 => Just(Sent::Once),
        2 => (2..4u8).prop_map(Sent::Times),
        1 => Just(Sent::Never),
        1 => Just(Sent::Held),
        1 => Just(Sent::HeldToo),
        1 => Just(Sent::Damaged),
        1 => Just(Sent::DamagedAndHeld),
        1 => Just(Sent::DamagedFirst),
        1 => Just(Sent::UnderAnotherKey),
        1 => Just(Sent::AsAnotherVersion),
    ];
    let beside = prop_oneof![
        12 => Just(Beside::Nothing),
        1 => (0..3u8).prop_map(Beside::RolledBack),
        1 => Just(Beside::RolledBackAtThisVersion),
        1 => Just(Beside::RolledBackAndHeld),
        1 => Just(Beside::NotSent),
        1 => Just(Beside::Foreign),
        1 => Just(Beside::EmptyPromise),
        1 => Just(Beside::BrokenPromise),
        1 => Just(Beside::AppliedAgain),
    ];
    let copies = |share: f64| prop::collection::vec(prop::bool::weighted(share), 4);
    (
        answer,
        sent,
        beside,
        copies(0.05),
        copies(0.1),
        prop::bool::weighted(0.05),
    )
        .prop_map(|(answer, sent, beside, strays, unseen, late)| Version {
            answer,
            sent,
            beside,
            strays,
            unseen,
            late,
        })
}

fn order() -> impl Strategy<Value = Order> {
    let swaps = prop_oneof![
        3 => Just(Vec::new()),
        1 => prop::collection::vec(any::<usize>(), 1..4),
    ];
    (prop::collection::vec(version(), 1..6), swaps)
        .prop_map(|(versions, swaps)| Order { versions, swaps })
}

/// A run as it is planted.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) orders: Vec<Order>,
    /// Whose event comes next, round and round.
    pub(super) picks: Vec<usize>,
    pub(super) partitions: i32,
    pub(super) dual: bool,
    /// The teardown killed a dual write's service, which had been started again before this order.
    pub(super) killed_from: Option<usize>,
    pub(super) ghosts: u8,
    pub(super) aborted: u8,
    /// Offsets between records, as transaction markers leave them.
    pub(super) markers: u8,
}

prop_compose! {
    pub(super) fn plan()(
        orders in prop::collection::vec(order(), 1..8),
        picks in prop::collection::vec(any::<usize>(), 1..60),
        partitions in prop_oneof![1 => Just(1), 3 => 2..9i32],
        dual in prop::bool::weighted(0.3),
        killed_from in prop::option::of(0..8usize),
        ghosts in prop_oneof![4 => Just(0u8), 1 => 1..9u8],
        aborted in prop_oneof![2 => Just(0u8), 1 => 1..9u8],
        markers in 0..3u8,
    ) -> Plan {
        Plan { orders, picks, partitions, dual, killed_from, ghosts, aborted, markers }
    }
}
