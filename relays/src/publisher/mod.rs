//! Where events go to. A publisher knows no database.
