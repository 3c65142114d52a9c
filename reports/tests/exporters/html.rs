use crate::sample;
use reports::Exporter;
use reports::html::Html;
use reports::record::{Record, Verdict};

pub fn rendered(record: &Record) -> String {
    String::from_utf8(Html.export(record).unwrap()).unwrap()
}

/// The text between two marks.
fn between<'a>(html: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = html.split_once(from).unwrap();
    rest.split_once(to).unwrap().0
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let html = rendered(&sample::record());
    for reference in [
        "src=", "srcset=", "url(", "@import", "<link", "<script", "<iframe", "xmlns",
    ] {
        assert!(!html.contains(reference), "{reference}");
    }
    for link in html.split("href=\"").skip(1) {
        assert!(link.starts_with('#'), "{}", &link[..20.min(link.len())]);
    }
    // Addresses of the stack are text.
    assert!(html.contains("http://127.0.0.1:40300"));
    assert!(!html.contains("=\"http"));
}

#[test]
fn every_link_in_the_page_has_its_target() {
    let html = rendered(&sample::record());
    for link in html.split("href=\"#").skip(1) {
        let target = link.split('"').next().unwrap();
        assert!(html.contains(&format!("id=\"{target}\"")), "{target}");
    }
}

#[test]
fn given_a_run_with_a_loss_when_shown_on_stage_then_it_has_its_figures_its_story_and_its_sentence()
{
    let record = sample::record();
    let html = rendered(&record);
    let stage = between(&html, "<section id=\"stage\"", "</section>");
    let slides: Vec<&str> = stage.split("<div class=\"slide").skip(1).collect();
    assert_eq!(slides.len(), 1 + record.strategies.len() + 1 + 1);
    assert!(slides[0].contains(&record.description));
    assert!(
        slides[1].contains("<p class=\"figure bad\"><b>453</b> lost</p>"),
        "{}",
        slides[1]
    );
    assert!(slides[4].contains("naive: one lost order"), "{}", slides[4]);
    // What is too long for a room is left to the page
    assert!(slides[4].matches("<tr>").count() <= 9);

    // Without an event that went wrong there is no story
    let mut clean = sample::record();
    clean.strategies.iter_mut().for_each(|s| s.offences.clear());
    let html = rendered(&clean);
    let stage = between(&html, "<section id=\"stage\"", "</section>");
    assert_eq!(
        stage.matches("<div class=\"slide").count(),
        slides.len() - 1
    );
}

#[test]
fn given_a_pass_with_an_expected_loss_then_the_loss_is_the_badge_and_the_pass_is_small() {
    let mut record = sample::record();
    record.strategies.truncate(1);
    record.strategies[0].verdict = Verdict::Pass;
    record.verdict = Verdict::Pass;
    let html = rendered(&record);
    assert!(html.contains("<header class=\"banner pass harm\">"));
    assert!(
        html.contains(
            "<p class=\"badge\">453 lost, as expected</p><p class=\"chip pass\">Pass</p>"
        )
    );

    // What nobody asked about, nobody expected
    let mut unasked = record.clone();
    unasked.strategies[0].expectations.clear();
    let html = rendered(&unasked);
    assert!(html.contains("<p class=\"badge\">453 lost</p><p class=\"chip pass\">Pass</p>"));

    record.strategies[0].counts.lost = Some(0);
    let html = rendered(&record);
    assert!(html.contains("<header class=\"banner pass\">"));
    assert!(html.contains("<p class=\"badge\">Pass</p>"));
}

#[test]
fn given_what_is_no_part_of_the_committed_changes_then_it_is_not_called_one() {
    let mut record = sample::record();
    for strategy in &mut record.strategies {
        strategy.counts.lost = Some(0);
        strategy.counts.phantom = Some(13);
    }
    let html = rendered(&record);
    let card = between(&html, "<p class=\"figure", "</p>");
    assert!(card.contains("<b>13</b> phantom"), "{card}");
    assert!(!card.contains("committed"), "{card}");
}

#[test]
fn given_a_closed_loop_then_nothing_on_the_page_is_due() {
    let mut record = sample::record();
    let open = rendered(&record);
    record.workload.insert("clients".to_owned(), "8".to_owned());
    let closed = rendered(&record);
    for said in ["cannot hide its stall", "Order latency by percentile"] {
        assert!(open.contains(said) && !closed.contains(said), "{said}");
    }
    for said in [
        "Service time by percentile",
        "service time, p50 / p99",
        "<td>service time</td>",
    ] {
        assert!(!open.contains(said) && closed.contains(said), "{said}");
    }
}

#[test]
fn a_strategy_called_script_stays_text() {
    let mut record = sample::record();
    record.strategies[1].name = "<script>alert(1)</script>".to_owned();
    record.strategies[1].faults[0].kind = "\"><script>".to_owned();
    let html = rendered(&record);
    assert!(!html.contains("<script"));
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

#[test]
fn a_template_in_a_value_is_not_filled() {
    let mut record = sample::record();
    record.description = "{{style}}".to_owned();
    assert!(rendered(&record).contains("<p class=\"lesson\">{{style}}</p>"));
}

#[test]
fn what_was_not_measured_is_a_dash_and_what_never_came_is_infinite() {
    let html = rendered(&sample::record());
    let row = between(&html, "drained after</th>", "</tr>");
    assert!(row.starts_with("<td class=\"faint\">–</td>"), "{row}");
    let row = between(&html, "relay peak MiB</th>", "</tr>");
    assert!(row.starts_with("<td class=\"faint\">–</td>"), "{row}");
    let end_to_end = between(&html, "end to end, p50 / p99", "propagation, p50 / p99");
    let row = between(end_to_end, "during down kafka</th>", "</tr>");
    assert!(row.contains("s / ∞"), "{row}");
}

#[test]
fn faults_are_shaded_and_named_in_every_chart_over_time() {
    let html = rendered(&sample::record());
    assert_eq!(html.matches("<figure class=\"chart\"").count(), 6);
    // Four charts over time, drawn for wide and narrow screens.
    assert_eq!(html.matches("class=\"window\"").count(), 4 * 2);
    assert_eq!(html.matches(">\ndown kafka\n</text>").count(), 4 * 2);
}

#[test]
fn every_colour_of_a_chart_has_a_class_that_lets_the_style_sheet_override_it() {
    let html = rendered(&sample::record());
    for chart in html.split("<svg viewBox").skip(1) {
        let chart = chart.split("</svg>").next().unwrap();
        for element in chart.split('<').skip(2) {
            let coloured = ["stroke=\"", "fill=\""].iter().any(|attribute| {
                let values = element.split(attribute).skip(1);
                values.filter(|v| !v.starts_with("none\"")).count() > 0
            });
            assert!(!coloured || element.contains("class=\""), "{element}");
        }
    }
    // What plotters draws in stands for an ink, and is none.
    assert!(!html.contains("=\"#C0"));
}

/// The page as a browser shows it that may load no style: tags gone, hidden parts gone, blocks and
/// cells on lines of their own.
fn unstyled(html: &str) -> Vec<String> {
    let body = html.split_once("<body>").unwrap().1;
    let mut text = String::new();
    let mut hidden = false;
    for part in body.split('<') {
        let (tag, words) = part.split_once('>').unwrap_or(("", part));
        let name = tag
            .trim_start_matches('/')
            .split([' ', '\n'])
            .next()
            .unwrap();
        // The narrow charts are one block each, and the wide ones are pictures.
        hidden = match name {
            "div" if tag.ends_with(" hidden") => true,
            "div" if tag.starts_with('/') => false,
            _ => hidden,
        };
        let inline = [
            "b", "i", "small", "span", "code", "strong", "a", "path", "svg",
        ];
        if !inline.contains(&name) {
            text.push('\n');
        }
        if !hidden {
            text.push_str(words);
        }
    }
    // A browser shows one blank where there are several.
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines()
        .map(words)
        .filter(|line| !line.is_empty())
        .collect()
}

#[test]
fn given_a_policy_that_forbids_styles_then_no_words_run_together() {
    let lines = unstyled(&rendered(&sample::record()));
    for line in [
        "polling pass",
        "naive dual-write",
        "5,880 delivered",
        "453 lost of 4,404 committed changes",
    ] {
        assert!(lines.iter().any(|l| l == line), "`{line}`: {lines:?}");
    }
}

#[test]
fn given_a_policy_that_forbids_styles_then_charts_have_their_size_and_colours_and_are_there_once() {
    let html = rendered(&sample::record());
    assert_eq!(html.matches("<div class=\"narrow\" hidden>").count(), 6);
    let chart = between(&html, "<div class=\"wide\">", "</svg>");
    assert!(chart.starts_with("<svg viewBox=\"0 0 2240 1160\" width=\"560\" height=\"290\""));
    let element = |class: &str| {
        let of_it = chart
            .split('<')
            .find(|e| e.contains(&format!("class=\"{class}\"")));
        of_it.unwrap().to_owned()
    };
    assert!(element("window").contains("fill=\"#b23c28\" fill-opacity=\"0.1\""));
    assert!(element("k1").contains("stroke=\"#0072b2\""));
    assert!(element("grid").contains("stroke=\"currentColor\" stroke-opacity"));
    assert!(element("label").contains("fill=\"currentColor\""));
    // And a legend shows what is drawn in which
    assert_eq!(html.matches("<li class=\"k1\">").count(), 6);
    let legend = between(&html, "<li class=\"k1\">", "</li>");
    assert!(
        legend.contains("stroke=\"#0072b2\"") && legend.ends_with("</i> polling"),
        "{legend}"
    );
}

#[test]
fn a_strategy_has_one_colour_throughout() {
    let html = rendered(&sample::record());
    for (class, name) in [("k0", "naive"), ("k1", "polling"), ("k2", "cdc")] {
        assert!(html.contains(&format!("<article class=\"card {class}\"><h3>{name}")));
        let legend = between(&html, &format!("<li class=\"{class}\">"), "</li>");
        assert!(legend.ends_with(&format!("</i> {name}")), "{legend}");
    }
}

#[test]
fn without_series_and_phases_the_page_says_so() {
    let mut record = sample::record();
    record.strategies = vec![sample::clean("only", "cdc")];
    record.strategies[0].faults.clear();
    record.strategies[0].expectations.clear();
    let html = rendered(&record);
    assert!(html.contains("No series were recorded."));
    assert!(html.contains("The scenario has no faults."));
    assert!(html.contains("Nothing was expected."));
    assert!(!html.contains("NaN"));
}

#[test]
fn given_a_scenario_that_does_not_test_the_order_when_exported_then_every_reader_is_told() {
    let mut record = sample::record();
    record.not_tested = vec!["Order was not tested, as the scenario says.".to_owned()];
    let terminal = reports::terminal::Terminal {
        colour: false,
        width: 100,
    };
    let texts = [
        rendered(&record),
        terminal.render(&record, None),
        String::from_utf8(reports::summary::Summary.export(&record).unwrap()).unwrap(),
    ];
    for text in texts {
        assert!(text.contains("Order was not tested"), "{text}");
    }
}

#[test]
fn given_a_relay_that_took_over_from_another_when_exported_then_every_reader_sees_after_how_long() {
    let readers = |record: &Record| {
        let terminal = reports::terminal::Terminal {
            colour: false,
            width: 120,
        };
        let summary = reports::summary::Summary.export(record).unwrap();
        [
            terminal.render(record, None),
            rendered(record),
            String::from_utf8(summary).unwrap(),
        ]
    };
    // Where nobody took over, nothing is said of it
    let mut record = sample::record();
    for text in readers(&record) {
        assert!(!text.contains("fail-over"), "{text}");
    }
    record.strategies[1].faults[0].failover_s = Some(0.125);
    for text in readers(&record) {
        assert!(
            text.contains("fail-over after") && text.contains("125"),
            "{text}"
        );
    }
    // The others have a dash there, not a zero
    let [terminal, ..] = readers(&record);
    let row = terminal.lines().find(|l| l.contains("fail-over after"));
    let figures: Vec<&str> = row.unwrap().split_whitespace().skip(2).collect();
    assert_eq!(figures, ["–", "125", "ms", "–"]);
}

#[test]
fn given_a_fault_that_waited_for_something_when_exported_then_every_reader_sees_for_what_and_when_it_came()
 {
    let mut record = sample::record();
    for (strategy, at_s) in record.strategies.iter_mut().zip([2.0, 3.0, 5.0]) {
        let fault = &mut strategy.faults[0];
        fault.trigger = Some("300 events".to_owned());
        fault.fired_s = Some(at_s);
        (fault.injected_s, fault.healed_s) = (Some(at_s), Some(at_s + 1.0));
    }
    let terminal = reports::terminal::Terminal {
        colour: false,
        width: 120,
    };
    let shown = terminal.render(&record, None);
    assert!(shown.contains("down kafka, trigger: 300 events"), "{shown}");
    for time in ["2.0–3.0", "3.0–4.0", "5.0–6.0"] {
        assert!(shown.contains(&format!("bit {time}")), "{shown}");
    }
    let html = rendered(&record);
    assert!(html.contains("<td>down kafka, trigger: 300 events</td>"));
    // It is shaded where it was in each strategy, not over all of that
    assert!(html.contains("down kafka (polling)") && html.contains("down kafka (cdc)"));
    let summary = reports::summary::Summary.export(&record).unwrap();
    let summary = String::from_utf8(summary).unwrap();
    assert!(
        summary.contains("down kafka, trigger: 300 events | 3.0–4.0"),
        "{summary}"
    );
}

#[test]
fn a_record_of_before_triggers_is_read_as_it_was() {
    let text = String::from_utf8(reports::json::Json.export(&sample::record()).unwrap()).unwrap();
    let of_before: String = text
        .lines()
        .filter(|line| {
            let new = ["trigger", "fired_s", "fired_on", "failover_s"];
            !new.iter()
                .any(|key| line.contains(&format!("\"{key}\": null")))
        })
        .collect();
    assert!(reports::json::parse(of_before.as_bytes()).unwrap() == sample::record());
}

#[test]
fn the_limits_are_said_in_the_open() {
    let html = rendered(&sample::record());
    let limits = between(
        &html,
        "What this run does not prove",
        "Environment and load",
    );
    assert!(limits.contains("Replication factor 1"));
    assert!(limits.contains("No process was killed"));
    assert!(limits.contains("cdc: 0 of 5,880 committed changes lost"));
    assert!(limits.contains("less than 0.051%"));
    assert!(!limits.contains("naive: 0 of 4,404"), "it did lose");

    let mut killed = sample::record();
    killed.strategies[1].faults[0].kind = "kill".to_owned();
    let html = rendered(&killed);
    assert!(html.contains("page cache"));
    assert!(html.contains("0 of 1 crash with a loss, too few"));
}

#[test]
fn the_first_offending_events_have_their_sentence_and_unfold_their_way() {
    let html = rendered(&sample::record());
    let offences = between(&html, "<section id=\"offences\">", "<section id=\"scope\">");
    assert!(offences.contains("naive <small>453 lost, the first 4</small>"));
    assert_eq!(offences.matches("<details class=\"offence\">").count(), 4);
    assert!(offences.contains("its publish failed at 5.012 s (not persisted) while down kafka"));
    let first = between(
        offences,
        "<table class=\"timeline\" cellpadding=\"4\">",
        "</table>",
    );
    assert_eq!(first.matches("<tr").count(), 12);
    assert!(first.starts_with("<tbody><tr class=\"fault\"><td class=\"number\">4.002\u{a0}s</td>"));
    assert!(first.contains("<th scope=\"row\">order service</th><td>committed as version 2</td>"));
}

#[test]
fn what_the_database_paid_stands_right_behind_the_latencies() {
    let html = rendered(&sample::record());
    let section = "<span>cost to the database</span>";
    let order = between(&html, "<span>order, p50 / p99</span>", section);
    assert!(!order.contains("<span>"), "{order}");
    let each = between(&html, section, "<span>");
    assert!(
        each.contains(">WAL, each event</th><td class=\"plain\">612 B</td>"),
        "{each}"
    );
    assert!(each.contains("<td class=\"faint\">–</td>"), "{each}");
    // And flows in all, with CPU and memory.
    let all = between(&html, "<span>costs of the whole run</span>", "</table>");
    assert!(
        all.contains(">WAL, in all</th><td class=\"plain\">3.43 MiB</td>"),
        "{all}"
    );
}

#[test]
fn no_row_has_the_name_of_another_one_with_another_unit() {
    let html = rendered(&sample::record());
    let table = between(
        &html,
        "<table class=\"comparison\" cellpadding=\"4\">",
        "</table>",
    );
    let costs = table.split("<span>cost to the database</span>").nth(1);
    let mut names: Vec<&str> = costs
        .unwrap()
        .split("<th scope=\"row\">")
        .skip(1)
        .map(|row| row.split('<').next().unwrap())
        .collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "{names:?}");
}
