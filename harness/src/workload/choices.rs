//! The seeded choices: how many changes an order goes through, and what each change asks for.
//! Each is a function of the seed and a number, so that a run with the same seed chooses alike
//! whatever the timing.

use crate::history::Intent;
use crate::scenario::Workload;
use crate::scenario::limits::CHANGES_PER_ORDER;
use relays::order::Directive;

/// The skewed distribution has so many ranks: the most popular order gets the share of rank 1 of these.
const RANKS: usize = 1_000;

pub(super) struct Choices {
    seed: u64,
    rollback_ratio: f64,
    hold_ratio: f64,
    hold_ms: u32,
    /// Changes an order goes through, by rank; one entry without skew.
    lives: Vec<u32>,
}

/// Keeps the draws for different purposes independent.
#[derive(Clone, Copy)]
enum Purpose {
    Intent = 1,
    Life = 2,
    Read = 3,
}

impl Choices {
    pub fn new(seed: u64, workload: &Workload) -> Self {
        let mean = workload.changes_per_order.max(1);
        Self {
            seed,
            rollback_ratio: workload.rollback_ratio,
            hold_ratio: workload.hold_ratio,
            hold_ms: u32::try_from(workload.hold.as_millis()).unwrap_or(u32::MAX),
            lives: if workload.skew > 0.0 {
                zipf_lives(workload.skew, mean)
            } else {
                vec![mean]
            },
        }
    }

    /// Changes the order with this index goes through, at least one.
    pub fn life(&self, order: u32) -> u32 {
        let rank = self.draw(Purpose::Life, order) * self.lives.len() as f64;
        self.lives[(rank as usize).min(self.lives.len() - 1)]
    }

    /// Returns what the change with this number asks for. A retry asks for what its change asked for.
    pub fn intent(&self, change: u32) -> Intent {
        let draw = self.draw(Purpose::Intent, change);
        if draw < self.rollback_ratio {
            Intent::Veto
        } else if draw < self.rollback_ratio + self.hold_ratio {
            Intent::Hold
        } else {
            Intent::Commit
        }
    }

    /// Returns the draw, from 0..1, of which order the read with this number is.
    pub fn read(&self, read: u64) -> f64 {
        self.draw(Purpose::Read, read as u32)
    }

    /// The intent as the service is told it.
    pub fn directive(&self, intent: Intent) -> Directive {
        match intent {
            Intent::Commit => Directive::Commit,
            Intent::Hold => Directive::HoldMs(self.hold_ms),
            Intent::Veto => Directive::Veto,
        }
    }

    /// Returns a number that is uniform in 0..1 (SplitMix64).
    fn draw(&self, purpose: Purpose, number: u32) -> f64 {
        let stream = mix(self.seed ^ mix(purpose as u64));
        (mix(stream ^ u64::from(number)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Changes by rank, proportional to rank^-exponent, at least 1 each and at most what an order can
/// take, scaled to the mean.
fn zipf_lives(exponent: f64, mean: u32) -> Vec<u32> {
    let most = f64::from(CHANGES_PER_ORDER);
    let share = |rank: usize| (rank as f64).powf(-exponent);
    let lives = |scale: f64| -> Vec<u32> {
        (1..=RANKS)
            .map(|rank| (scale * share(rank)).round().clamp(1.0, most) as u32)
            .collect()
    };
    let wanted = u64::from(mean) * RANKS as u64;
    // With this, the last rank has as many as an order can take, and so have all others.
    let (mut low, mut high) = (0.0, most / share(RANKS));
    for _ in 0..120 {
        let middle = (low + high) / 2.0;
        let total: u64 = lives(middle).into_iter().map(u64::from).sum();
        if total > wanted {
            high = middle;
        } else {
            low = middle;
        }
    }
    lives(low)
}

#[cfg(test)]
mod tests {
    use super::super::tests::workload;
    use super::*;
    use std::time::Duration;

    fn choices(seed: u64, change: impl Fn(&mut Workload)) -> Choices {
        let mut workload = workload(1.0, Duration::from_secs(1));
        change(&mut workload);
        Choices::new(seed, &workload)
    }

    #[test]
    fn intents_have_their_share_and_follow_the_seed() {
        let shares = |w: &mut Workload| {
            w.rollback_ratio = 0.02;
            w.hold_ratio = 0.01;
        };
        let (one, same, other) = (choices(7, shares), choices(7, shares), choices(8, shares));
        let intents = |c: &Choices| (0..100_000).map(|n| c.intent(n)).collect::<Vec<_>>();
        let count = |wanted| intents(&one).into_iter().filter(|&i| i == wanted).count();
        assert!((1_800..2_200).contains(&count(Intent::Veto)));
        assert!((850..1_150).contains(&count(Intent::Hold)));
        assert_eq!(intents(&one), intents(&same));
        assert_ne!(intents(&one), intents(&other));
    }

    #[test]
    fn without_skew_every_order_lives_alike() {
        let choices = choices(1, |w| w.changes_per_order = 3);
        assert!((0..1_000).all(|order| choices.life(order) == 3));
    }

    #[test]
    fn with_skew_the_mean_stays_and_few_orders_get_most() {
        let shapes = [
            (0.5, 3u32),
            (1.0, 3),
            (1.5, 10),
            (3.0, 2),
            (1.0, 1),
            (5.0, 10_000),
        ];
        for (skew, mean) in shapes {
            let choices = choices(1, |w| {
                w.changes_per_order = mean;
                w.skew = skew;
            });
            let total: u64 = choices.lives.iter().map(|&n| u64::from(n)).sum();
            let seen = total as f64 / RANKS as f64;
            assert!(
                (seen / f64::from(mean) - 1.0).abs() < 0.05,
                "skew {skew}: mean {seen}"
            );
            assert!(choices.lives.iter().all(|&n| n >= 1));
            let most = CHANGES_PER_ORDER;
            assert!(choices.lives[0] <= most.min(mean * RANKS as u32));
            let flat = mean == 1 || mean == most;
            assert!(flat || choices.lives[0] > choices.lives[RANKS - 1]);
        }
    }
}
