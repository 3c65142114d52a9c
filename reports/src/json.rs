//! Exporter: json.
