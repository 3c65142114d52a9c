//! `service-check`: whether an order service keeps the contract, rule by rule.

use super::args::ServiceCheckArgs;
use super::exit::Outcome;
use super::terminal;
use crate::service_check::{CheckError, Fared, Finding, RULES, check};
use serde::Serialize;
use std::fmt::Write as _;

/// Where what was found of a rule begins.
const INDENT: &str = "           ";

/// Scripts get this as JSON (`--json`): the service's URL, and what was found of each rule.
#[derive(Serialize)]
struct Report<'a> {
    url: &'a str,
    rules: &'a [Finding],
}

/// Checks, and says of each rule what was found as soon as it is known.
pub fn service_check(args: &ServiceCheckArgs) -> Outcome {
    terminal::log();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(e) => {
            terminal::message(&format!("starting the runtime: {e}"));
            return Outcome::Failed;
        }
    };
    let shown = |finding: &Finding| {
        if !args.json {
            terminal::results(&lines(finding));
        }
    };
    let findings = match runtime.block_on(check(&args.url, shown)) {
        Ok(findings) => findings,
        Err(error) => {
            terminal::message(&error.to_string());
            return match error {
                CheckError::Url { .. } => Outcome::Usage,
                CheckError::Away { .. } => Outcome::Failed,
            };
        }
    };
    if args.json {
        let report = Report {
            url: &args.url,
            rules: &findings,
        };
        match serde_json::to_string_pretty(&report) {
            Ok(text) => terminal::results(&format!("{text}\n")),
            Err(e) => {
                terminal::message(&format!("writing JSON: {e}"));
                return Outcome::Failed;
            }
        }
    } else {
        terminal::results(&summary(&findings));
    }
    outcome(&findings)
}

/// `kept     places           what it says`, and below it what the service does instead.
fn lines(finding: &Finding) -> String {
    let fared = match finding.fared {
        Fared::Kept => "kept",
        Fared::Broken => "broken",
        Fared::Untried => "untried",
    };
    let mut text = format!("  {fared:<8} {:<16} {}\n", finding.rule, finding.what);
    if let Some(found) = &finding.found {
        let _ = writeln!(text, "{INDENT}{found}");
    }
    if let Some(remedy) = finding.remedy {
        let _ = writeln!(text, "{INDENT}remedy: {remedy}");
    }
    text
}

fn count(findings: &[Finding], fared: Fared) -> usize {
    findings.iter().filter(|f| f.fared == fared).count()
}

fn summary(findings: &[Finding]) -> String {
    let (all, kept) = (RULES.len(), count(findings, Fared::Kept));
    let (broken, untried) = (
        count(findings, Fared::Broken),
        count(findings, Fared::Untried),
    );
    let mut text = format!("\n{kept} of {all} rules are kept");
    if broken > 0 {
        let _ = write!(text, ", {broken} broken");
    }
    if untried > 0 {
        let _ = write!(text, ", {untried} could not be tried");
    }
    text.push_str(".\n");
    text
}

/// What is broken is a miss; what could not be tried alone proves nothing.
fn outcome(findings: &[Finding]) -> Outcome {
    match (
        count(findings, Fared::Broken),
        count(findings, Fared::Untried),
    ) {
        (0, 0) => Outcome::Met,
        (0, _) => Outcome::Unknown,
        _ => Outcome::Missed,
    }
}
