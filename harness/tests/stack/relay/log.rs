//! What a topic holds, and what must be true of it.

use std::collections::HashMap;

/// One record, its payload taken apart.
pub struct Record {
    pub key: String,
    pub order: u64,
    pub version: u64,
    pub id: String,
    pub offset: i64,
    /// Of key, value and headers.
    pub bytes: usize,
    pub headers: HashMap<String, String>,
}

/// A topic's records; the order within a partition is kept.
pub struct Log(pub Vec<Record>);

impl Log {
    pub fn different(&self) -> usize {
        let ids: std::collections::HashSet<_> = self.0.iter().map(|r| &r.id).collect();
        ids.len()
    }

    pub fn duplicates(&self) -> usize {
        self.0.len() - self.different()
    }

    /// Every version of every order is there, and each appears first after all earlier ones.
    pub fn assert_complete(&self, orders: u64, versions: u64) {
        let mut seen: HashMap<&str, u64> = HashMap::new();
        for record in &self.0 {
            let highest = seen.entry(&record.key).or_default();
            assert!(
                record.version <= *highest + 1,
                "order {}: version {} before {}",
                record.order,
                record.version,
                *highest + 1
            );
            *highest = (*highest).max(record.version);
        }
        assert_eq!(seen.len() as u64, orders, "orders seen");
        for (order, highest) in seen {
            assert_eq!(highest, versions, "last version of {order}");
        }
    }

    pub fn assert_headers_match(&self) {
        for record in &self.0 {
            assert_eq!(record.headers["id"], record.id);
            assert_eq!(record.headers["eventType"], "OrderAmended");
            assert_eq!(record.headers["version"], record.version.to_string());
        }
    }
}
