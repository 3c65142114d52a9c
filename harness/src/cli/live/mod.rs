//! A run as it is watched: what is known of it at a moment, in words and figures, drawn on a terminal or written in
//! plain lines, and its end. Whoever has a run to show, one that goes on or one that is over, says what is known.

pub mod board;
pub mod breakage;
pub mod digits;
pub mod ending;
pub mod expected;
pub mod lines;
pub mod now;
pub mod occasion;
pub mod screen;
pub mod shown;
pub mod story;
pub mod view;
