//! `schema`: the JSON Schema of a file that people write, or that programs read.

use super::args::{SchemaArgs, SchemaOf};
use super::exit::Outcome;
use super::terminal;
use crate::scenario;

/// Prints the schema that is asked for to standard output.
pub fn schema(args: &SchemaArgs) -> Outcome {
    terminal::results(&text(args.of));
    Outcome::Met
}

/// As it is printed, and as docs/schema has it.
fn text(of: SchemaOf) -> String {
    let schema = match of {
        SchemaOf::Scenario => scenario::schema::scenario(),
        SchemaOf::Relay => scenario::schema::relay(),
        SchemaOf::Record => reports::schema::record(),
    };
    format!("{schema:#}\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use std::path::Path;

    #[test]
    fn given_what_the_program_prints_then_the_repository_has_the_same() {
        for of in SchemaOf::value_variants() {
            let name = of.to_possible_value().unwrap();
            let file = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../docs/schema")
                .join(format!("{}.json", name.get_name()));
            if std::env::var_os("OUTBOX_WRITE_DOCS").is_some() {
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(&file, text(*of)).unwrap();
            }
            let kept = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(
                kept == text(*of),
                "{} is not what the program prints: OUTBOX_WRITE_DOCS=1 cargo test --lib schema",
                file.display()
            );
        }
    }
}
