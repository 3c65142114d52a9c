//! The comparison on a terminal: strategies side by side, the reasons, and last, where the eye
//! ends, the conclusion.

use crate::comparison::{self, ComparisonRow, Section, Tone};
use crate::record::{Record, Verdict};
use crate::text::{BOLD, DIM, NARROWEST, Paper, cut, padded, wrap};
use crate::{ExportError, Exporter, conclusion, figures};

/// Longer labels are wrapped.
const LABEL_MAX: usize = 34;
/// Longer names and figures are cut.
const CELL_MAX: usize = 28;
/// Offending events of a missed expectation that are told.
const TOLD: usize = 3;
/// So many blanks stand between two columns.
const GAP: usize = 2;
/// Rows below their section's title are indented by so many blanks.
const INDENT: usize = 2;

/// This writes the comparison as text.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// This says whether the text is coloured with ANSI escape codes.
    pub colour: bool,
    /// The terminal is so many columns wide.
    pub width: usize,
}

impl Exporter for Terminal {
    fn file_name(&self) -> &'static str {
        "comparison.txt"
    }

    fn export(&self, record: &Record) -> Result<Vec<u8>, ExportError> {
        Ok(self.render(record, None).into_bytes())
    }
}

/// A block has the columns that fit beside each other.
struct Block {
    strategies: std::ops::Range<usize>,
    widths: Vec<usize>,
}

impl Terminal {
    /// Returns the comparison, its lines ended by `\n`; with the run's folder, it ends in how to learn more.
    pub fn render(&self, record: &Record, folder: Option<&str>) -> String {
        let mut text = String::new();
        self.heading(record, &mut text);
        let sections = sections(record);
        let label_width = sections
            .iter()
            .flat_map(|section| section.rows.iter().map(move |row| (section, row)))
            .map(|(section, row)| indent(section) + row.label.chars().count())
            .max()
            .unwrap_or(0)
            .min(LABEL_MAX);
        for block in self.blocks(record, &sections, label_width) {
            self.block(record, &sections, label_width, &block, &mut text);
            text.push('\n');
        }
        self.remarks(record, &mut text);
        self.offences(record, folder, &mut text);
        self.closing(record, &mut text);
        text
    }

    fn paper(&self) -> Paper {
        Paper {
            colour: self.colour,
            width: self.width,
        }
    }

    fn heading(&self, record: &Record, text: &mut String) {
        text.push_str(&self.paper().paint(&record.scenario, BOLD));
        text.push('\n');
        self.paper()
            .wrapped(&record.description, 0, Some(DIM), text);
        if let Some(closed) = comparison::closed_loop(record) {
            self.paper().wrapped(&closed, 0, None, text);
        }
        let stack = &record.stack;
        let ran_on = format!(
            "seed {}, {} stack: {}",
            record.seed,
            stack.provider,
            stack.in_words()
        );
        self.paper().wrapped(&ran_on, 0, Some(DIM), text);
        for limit in &record.not_tested {
            self.paper().wrapped(limit, 0, None, text);
        }
        text.push('\n');
    }

    /// As many strategies side by side as the width takes, the rest below.
    fn blocks(&self, record: &Record, sections: &[Section], label_width: usize) -> Vec<Block> {
        let natural = |index: usize| {
            let strategy = &record.strategies[index];
            sections
                .iter()
                .flat_map(|section| &section.rows)
                .filter_map(|row| row.cells.get(index))
                .map(|cell| cell.text.chars().count())
                .chain([
                    strategy.name.chars().count(),
                    strategy.what_else().chars().count(),
                ])
                .max()
                .unwrap_or(0)
                .min(CELL_MAX)
        };
        let mut blocks: Vec<Block> = Vec::new();
        let mut used = usize::MAX;
        for index in 0..record.strategies.len() {
            let width = natural(index);
            used = used.saturating_add(GAP + width);
            match blocks.last_mut() {
                Some(block) if used <= self.width.max(NARROWEST) => {
                    block.strategies.end = index + 1;
                    block.widths.push(width);
                }
                _ => {
                    used = label_width + GAP + width;
                    blocks.push(Block {
                        strategies: index..index + 1,
                        widths: vec![width],
                    });
                }
            }
        }
        for block in &mut blocks {
            self.even_out(block, label_width);
        }
        blocks
    }

    /// Columns of one width are easier to compare, where there is room for that.
    fn even_out(&self, block: &mut Block, label_width: usize) {
        let widest = block.widths.iter().copied().max().unwrap_or(0);
        if label_width + (GAP + widest) * block.widths.len() <= self.width {
            block.widths.fill(widest);
        }
    }

    fn block(
        &self,
        record: &Record,
        sections: &[Section],
        label_width: usize,
        block: &Block,
        text: &mut String,
    ) {
        let strategies = &record.strategies[block.strategies.clone()];
        let mut heads = [String::new(), String::new()];
        for (strategy, width) in strategies.iter().zip(&block.widths) {
            heads[0].push_str(&self.column(&strategy.name, *width, Some(BOLD)));
            heads[1].push_str(&self.column(&strategy.what_else(), *width, Some(DIM)));
        }
        let named_alone = strategies.iter().all(|s| s.what_else().is_empty());
        for head in &heads[..if named_alone { 1 } else { 2 }] {
            text.push_str(&" ".repeat(label_width));
            text.push_str(head.trim_end());
            text.push('\n');
        }
        for section in sections {
            if section.rows.is_empty() {
                continue;
            }
            if !section.title.is_empty() {
                text.push_str(&self.paper().paint(section.title, BOLD));
                text.push('\n');
            }
            for row in &section.rows {
                self.row(row, indent(section), label_width, block, text);
            }
        }
    }

    fn row(
        &self,
        row: &ComparisonRow,
        indent: usize,
        label_width: usize,
        block: &Block,
        text: &mut String,
    ) {
        let labels = wrap(&row.label, label_width - indent.min(label_width));
        let (first, rest) = match labels.split_first() {
            Some((first, rest)) => (first.as_str(), rest),
            None => ("", &[][..]),
        };
        text.push_str(&" ".repeat(indent));
        text.push_str(&padded(first, label_width - indent));
        for (cell, width) in row.cells[block.strategies.clone()]
            .iter()
            .zip(&block.widths)
        {
            text.push_str(&self.column(&cell.text, *width, code(cell.tone)));
        }
        text.push('\n');
        for label in rest {
            text.push_str(&" ".repeat(indent));
            text.push_str(label);
            text.push('\n');
        }
    }

    fn remarks(&self, record: &Record, text: &mut String) {
        let remarks = conclusion::remarks(record);
        for (strategy, remark) in &remarks {
            let line = format!("{strategy}: {remark}");
            self.paper().wrapped(&line, INDENT, None, text);
        }
        if !remarks.is_empty() {
            text.push('\n');
        }
    }

    /// What happened to the first few events that a missed expectation is about.
    fn offences(&self, record: &Record, folder: Option<&str>, text: &mut String) {
        let before = text.len();
        for strategy in &record.strategies {
            let missed = strategy
                .expectations
                .iter()
                .filter(|e| e.met == Some(false));
            for metric in missed.map(|e| &e.metric) {
                let of_it = strategy.offences.iter().filter(|o| o.metric == *metric);
                for offence in of_it.take(TOLD) {
                    let told = figures::offence(offence);
                    let line = format!("{}: {told}", strategy.name);
                    self.paper().wrapped(&line, INDENT, None, text);
                }
            }
        }
        let any = record.strategies.iter().any(|s| !s.offences.is_empty());
        if let (true, Some(folder)) = (any, folder) {
            let line = format!("what happened to each: outbox-harness explain {folder}");
            self.paper().wrapped(&line, INDENT, Some(DIM), text);
        }
        if text.len() > before {
            text.push('\n');
        }
    }

    fn closing(&self, record: &Record, text: &mut String) {
        let verdict = figures::verdict(record.verdict).to_uppercase();
        let word = match code(comparison::verdict_tone(record.verdict)) {
            Some(code) => self.paper().paint(&verdict, &format!("{BOLD};{code}")),
            None => verdict.clone(),
        };
        let hanging = verdict.chars().count() + GAP;
        let mut lines = wrap(
            &conclusion::sentence(record),
            self.width.max(NARROWEST) - hanging,
        )
        .into_iter();
        let first = lines.next().unwrap_or_default();
        text.push_str(&format!(
            "{word}{}{}\n",
            " ".repeat(GAP),
            self.paper().paint(&first, BOLD)
        ));
        for line in lines {
            text.push_str(&" ".repeat(hanging));
            text.push_str(&self.paper().paint(&line, BOLD));
            text.push('\n');
        }
        let style = (record.verdict == Verdict::Pass).then_some(DIM);
        self.paper()
            .wrapped(&conclusion::expectations(record), hanging, style, text);
    }

    /// Returns a cell with the gap before it, aligned right: figures are compared by their last digit.
    fn column(&self, words: &str, width: usize, style: Option<&str>) -> String {
        let shown = cut(words, width);
        let room = GAP + width - shown.chars().count();
        let shown = match style {
            Some(style) => self.paper().paint(&shown, style),
            None => shown,
        };
        format!("{}{shown}", " ".repeat(room))
    }
}

fn sections(record: &Record) -> Vec<Section> {
    let mut sections = vec![
        comparison::verdicts(record),
        comparison::outcomes(record),
        comparison::harms(record),
        comparison::consumers(record),
    ];
    let percentiles = comparison::latencies(record, &comparison::TYPICAL_AND_SLOW);
    let closed = record.clients().is_some();
    sections.extend(percentiles.into_iter().map(|section| Section {
        title: match section.title {
            "end to end" if closed => "end to end, p50 / p99 (from sent until event seen)",
            comparison::SERVICE_TIME => "service time, p50 / p99 (from sent until answer)",
            "end to end" => "end to end, p50 / p99 (from due until event seen)",
            "propagation" => "propagation, p50 / p99 (from answer until event seen)",
            "order" => "order, p50 / p99 (from due until answer)",
            other => other,
        },
        ..section
    }));
    sections.push(comparison::reads(record));
    sections.push(comparison::database(record));
    sections.push(comparison::in_doubt(record));
    sections.push(comparison::work(record));
    sections.push(comparison::faults(record));
    sections
}

fn indent(section: &Section) -> usize {
    if section.title.is_empty() { 0 } else { INDENT }
}

pub(crate) fn code(tone: Tone) -> Option<&'static str> {
    match tone {
        Tone::Plain => None,
        Tone::Faint => Some(DIM),
        Tone::Good => Some("32"),
        Tone::Warning => Some("33"),
        Tone::Bad => Some("1;31"),
    }
}
