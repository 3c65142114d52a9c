//! Latencies, phases and series from a history. Pure.
