//! Exporter: summary.
