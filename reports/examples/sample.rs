//! Writes every report of a made-up run, to look at while working on the exporters:
//! `cargo run -p reports --example sample -- FOLDER [pass|fail|unknown|RECORD.json]`, then open
//! `FOLDER/report.html`. The terminal's table goes to stdout, `COLUMNS` wide.

#[path = "../tests/exporters/sample.rs"]
#[allow(dead_code)]
mod sample;

use std::error::Error;
use std::io::IsTerminal;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("name a folder to write to")?);
    let record = match arguments.next().as_deref() {
        None | Some("pass") => sample::record(),
        Some("fail") => sample::failed(),
        Some("unknown") => sample::unknown(),
        Some(file) => reports::json::parse(&std::fs::read(file)?)?,
    };
    std::fs::create_dir_all(&folder)?;
    for exporter in reports::all() {
        std::fs::write(folder.join(exporter.file_name()), exporter.export(&record)?)?;
    }
    let columns = std::env::var("COLUMNS")
        .ok()
        .and_then(|text| text.parse().ok());
    let terminal = reports::terminal::Terminal {
        colour: std::io::stdout().is_terminal(),
        width: columns.unwrap_or(100),
    };
    print!("{}", terminal.render(&record, folder.to_str()));
    Ok(())
}
