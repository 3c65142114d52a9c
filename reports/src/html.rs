//! Exporter: html.
