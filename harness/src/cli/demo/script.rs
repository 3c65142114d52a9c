//! Keys that press themselves, at the same moments each time.

use super::hands::Hands;
use crate::cli::live::screen::Performance;
use std::convert::Infallible;
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Each step is a key, with the time after the start of the load at which it is pressed.
const STEPS: [(Duration, char); 3] = [
    (Duration::from_secs(3), 'b'),
    (Duration::from_secs(10), 'k'),
    (Duration::from_secs(14), 'x'),
];

/// Presses them, and does nothing more: whoever called it ends it.
pub async fn play(hands: &Hands) -> Infallible {
    for (at, key) in STEPS {
        while hands
            .board
            .now()
            .load_s
            .is_none_or(|s| s < at.as_secs_f64())
        {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        hands.press(key);
    }
    std::future::pending().await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::demo::programme::{Programme, actions};
    use crate::run::keyboard::{Keyboard, Press};

    #[test]
    fn given_the_script_then_every_step_is_a_key_that_leaves_time_to_recover() {
        let programme = Programme::scripted().unwrap();
        let load = programme.scenario.workload.duration;
        for (at, key) in STEPS {
            let actions = actions();
            let action = actions.iter().find(|a| a.key == key).unwrap();
            let keyboard = Keyboard::of(&programme.scenario);
            keyboard.open(load - at);
            assert_eq!(keyboard.press(key), Press::Begins, "{}", action.does);
        }
    }
}
