//! A chart as a picture of its own: with its title and the names of its lines, which a page has around it.

use super::escape::escaped;
use super::plot::{Canvas, Ink};
use std::fmt::Write as _;

const MARGIN_PX: i32 = 12;
const TITLE_PX: i32 = 26;
const LINE_PX: i32 = 18;
/// A line before a name, with the gap behind it, is so wide.
const SAMPLE_PX: i32 = 26;
/// A letter is so wide, on average, and [`GAP_PX`] is the gap between two names.
const LETTER_PX: i32 = 7;
const GAP_PX: i32 = 18;

/// Returns the picture as SVG. It has the colours that a page has by day, on white: whoever shows it knows no style
/// sheet of ours.
pub fn standing_alone(
    title: &str,
    strategies: &[&str],
    has_secondary: bool,
    canvas: Canvas,
    plot: &str,
) -> String {
    let mut entries: Vec<(String, &str)> = strategies
        .iter()
        .enumerate()
        .map(|(index, name)| (Ink::Strategy(index).attributes("stroke"), *name))
        .collect();
    if has_secondary {
        let plain = "stroke=\"currentColor\"";
        entries.push((plain.to_owned(), "p50"));
        entries.push((format!("{plain} stroke-dasharray=\"5 3\""), "p99"));
    }
    let (legend, below) = legend(&entries, canvas.width - MARGIN_PX);
    let (width, height) = (canvas.width, canvas.height + below);
    // A picture in a picture is placed by its corner.
    let plot = plot.replacen("<svg ", &format!("<svg y=\"{below}\" "), 1);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         color=\"#16202c\" fill=\"currentColor\" font-family=\"sans-serif\" font-size=\"12\">\
         <title>{title}</title><rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\
         <text x=\"{MARGIN_PX}\" y=\"20\" font-size=\"15\" font-weight=\"bold\">{title}</text>{legend}{plot}</svg>\n",
        title = escaped(title),
    )
}

/// Returns the names, in as many rows as they need, and where these end, in pixels from the top.
fn legend(entries: &[(String, &str)], right: i32) -> (String, i32) {
    let mut svg = String::new();
    let (mut x, mut y) = (MARGIN_PX, TITLE_PX + LINE_PX / 2);
    for (ink, name) in entries {
        let letters = i32::try_from(name.chars().count()).unwrap_or(i32::MAX / LETTER_PX);
        let length = SAMPLE_PX.saturating_add(LETTER_PX.saturating_mul(letters));
        if x > MARGIN_PX && x.saturating_add(length) > right {
            (x, y) = (MARGIN_PX, y + LINE_PX);
        }
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            "<path d=\"M{x} {y}h20\" stroke-width=\"3\" fill=\"none\" {ink}/><text x=\"{}\" y=\"{}\">{}</text>",
            x + SAMPLE_PX,
            y + 4,
            escaped(name)
        );
        x = x.saturating_add(length).saturating_add(GAP_PX);
    }
    (svg, y + LINE_PX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_more_names_than_a_row_holds_then_they_go_on_in_the_next_and_the_plot_below_all() {
        let canvas = Canvas {
            width: 200,
            height: 100,
        };
        let names = ["a <b>", "polling", "change-data-capture", "debezium"];
        let one = standing_alone("Title", &names[..1], false, canvas, "<svg viewBox=\"\"/>");
        let all = standing_alone("Title", &names, true, canvas, "<svg viewBox=\"\"/>");
        assert!(one.contains("<svg y=\"44\" viewBox") && one.contains("height=\"144\""));
        assert!(all.contains("a &lt;b&gt;") && all.contains(">p99</text>"));
        assert!(all.contains("<svg y=\"98\" viewBox"), "{all}");
    }
}
