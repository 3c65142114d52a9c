//! The JSON Schema of `record.json`, made of the types that are written to it.

use crate::record::Record;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// Returns the schema of a record as this version writes it. Whoever reads records of several versions finds
/// `schema_version` in each, and fields that came later missing in older ones.
pub fn record() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let schema = settings.into_generator().into_root_schema_for::<Record>();
    let mut schema = Value::from(schema);
    if let Value::Object(schema) = &mut schema {
        schema.insert("title".to_owned(), json!("A record of outbox-harness"));
        schema.insert(
            "description".to_owned(),
            json!(
                "record.json: one run of one scenario, judged. Units stand at the end of names (_s, _ms, _bytes, _per_s); a figure that was not measured is null, never 0."
            ),
        );
    }
    schema
}
