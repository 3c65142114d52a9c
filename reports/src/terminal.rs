//! Exporter: terminal.
