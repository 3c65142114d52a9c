//! One scenario, straight through.
