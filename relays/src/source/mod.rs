//! Where events come from. A source knows no broker.
