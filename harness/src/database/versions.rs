//! What one row of `orders` says: which attempt and which change made each version of an order.

use crate::history::{NONE, Rows, TruthRow};
use crate::identity::Identity;
use uuid::Uuid;

/// Returns one row a version; what is not of this run is `NONE`.
pub(super) fn versions(
    identity: &Identity,
    order: Uuid,
    attempts: &[Uuid],
    changes: &[Uuid],
) -> impl Iterator<Item = TruthRow> {
    let order = identity.order_index(order).unwrap_or(NONE);
    let known = changes.iter().map(|change| identity.change_number(*change));
    let changes = known.chain(std::iter::repeat(None));
    let rows = (1u32..).zip(attempts).zip(changes);
    rows.map(move |((version, attempt), change)| TruthRow {
        order,
        version,
        attempt: identity.attempt_number(*attempt).unwrap_or(NONE),
        change: change.unwrap_or(NONE),
    })
}

/// Sorts the rows by order and version.
pub(crate) fn in_order(mut rows: Vec<TruthRow>) -> Rows<TruthRow> {
    rows.sort_unstable_by_key(|r| (r.order, r.version));
    rows.into_iter().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::identity::RunKey;

    fn row(order: u32, version: u32, attempt: u32, change: u32) -> TruthRow {
        TruthRow {
            order,
            version,
            attempt,
            change,
        }
    }

    #[test]
    fn the_first_of_an_orders_attempts_made_its_version_1() {
        let identity = RunKey::random().identity().unwrap();
        let attempts = [30, 31, 35].map(|n| identity.attempt_id(n));
        let changes = [20, 21, 22].map(|n| identity.change_id(n));
        let rows = versions(&identity, identity.order_id(7), &attempts, &changes);
        let expected = [row(7, 1, 30, 20), row(7, 2, 31, 21), row(7, 3, 35, 22)];
        assert_eq!(rows.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn given_ids_of_nobody_or_none_at_all_then_the_version_is_there_all_the_same() {
        let identity = RunKey::random().identity().unwrap();
        let nobody = Uuid::new_v4();
        let attempts = [nobody, identity.attempt_id(31), identity.attempt_id(32)];
        let changes = [identity.change_id(20), nobody];
        let rows = versions(&identity, nobody, &attempts, &changes);
        let expected = [
            row(NONE, 1, NONE, 20),
            row(NONE, 2, 31, NONE),
            row(NONE, 3, 32, NONE),
        ];
        assert_eq!(rows.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_truth_is_by_order_and_version() {
        let rows = [row(2, 1, 0, 0), row(1, 2, 3, 0), row(1, 1, 4, 0)];
        let rows = in_order(rows.to_vec());
        let sorted: Vec<_> = (0..rows.len()).map(|n| rows.get(n)).collect();
        let expected = [row(1, 1, 4, 0), row(1, 2, 3, 0), row(2, 1, 0, 0)];
        assert_eq!(sorted, expected.map(Some));
    }
}
