//! Exporter: junit.
