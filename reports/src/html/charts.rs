//! Which charts a record has, and what is in them.

use super::axis::{self, Axis};
use super::escape::escaped;
use super::picture;
use super::plot::{Canvas, Ink, Line, Plot, Window, line_sample, strategy_class, swatch};
use crate::comparison;
use crate::record::{Fault, Latency, LatencySet, Record, Series, Strategy};

/// This is the size for half of a page at 1280 pixels, and [`NARROW`] the one for a phone.
const WIDE: Canvas = Canvas {
    width: 560,
    height: 290,
};
const NARROW: Canvas = Canvas {
    width: 340,
    height: 260,
};
/// A line has so many points at most; more cannot be told apart on [`WIDE`].
const POINTS_MAX: usize = 500;

/// This is a chart with its words.
struct Chart {
    /// This names the chart, and its file too.
    name: &'static str,
    title: &'static str,
    note: &'static str,
    has_secondary: bool,
    /// This makes the plot from the numbers of ticks to aim for, across and up.
    plot: Box<dyn Fn(usize, usize) -> Plot>,
}

/// Returns all charts of a record, as HTML; it is empty if there is nothing to draw.
pub fn figures(record: &Record) -> Result<String, String> {
    let mut html = String::new();
    for chart in &all(record) {
        html.push_str(&figure(record, chart)?);
    }
    Ok(html)
}

/// Returns all charts of a record, each by its name, as pictures that stand alone.
pub fn pictures(record: &Record) -> Result<Vec<(&'static str, String)>, String> {
    let names: Vec<&str> = record.strategies.iter().map(|s| s.name.as_str()).collect();
    let picture = |chart: &Chart| {
        let plot = (chart.plot)(7, 5).svg(WIDE)?;
        let svg = picture::standing_alone(chart.title, &names, chart.has_secondary, WIDE, &plot);
        Ok((chart.name, svg))
    };
    all(record).iter().map(picture).collect()
}

/// Those that there is something to draw for.
fn all(record: &Record) -> Vec<Chart> {
    let linear = [
        linear_over_time(
            record,
            "acknowledged",
            "Acknowledged changes per second",
            "What the order service confirmed to its clients.",
            |series| &series.acknowledged_per_s,
        ),
        linear_over_time(
            record,
            "published",
            "Published events per second",
            "First sight of each valid event on the topic.",
            |series| &series.published_per_s,
        ),
        linear_over_time(
            record,
            "backlog",
            "Backlog",
            "Committed changes whose event has not been seen yet. A line that never returns to 0 is loss.",
            |series| &series.backlog,
        ),
    ];
    let is_closed = record.clients().is_some();
    let mut charts: Vec<Chart> = linear.into_iter().flatten().collect();
    charts.extend(propagation_over_time(record));
    charts.extend(by_percentile(
        record,
        "end-to-end",
        "End-to-end latency by percentile",
        match is_closed {
            false => {
                "From when the order was due to its event seen, the whole run. A line that leaves through \
                 the top belongs to events that never came."
            }
            true => {
                "Closed loop: from when the order was sent to its event seen, the whole run. A line that leaves through \
                 the top belongs to events that never came."
            }
        },
        |set| &set.end_to_end,
    ));
    charts.extend(by_percentile(
        record,
        "order",
        match is_closed {
            false => "Order latency by percentile",
            true => "Service time by percentile",
        },
        match is_closed {
            false => "From when the order was due to its answer, the whole run: what the client waits for.",
            true => "Closed loop: from when the order was sent to its answer, the whole run. Who stalls is asked less.",
        },
        |set| &set.order,
    ));
    charts
}

fn figure(record: &Record, chart: &Chart) -> Result<String, String> {
    let wide = (chart.plot)(7, 5).svg(WIDE)?;
    let narrow = (chart.plot)(4, 4).svg(NARROW)?;
    Ok(format!(
        "<figure class=\"chart\"><figcaption><h3>{}</h3>{}<p>{}</p></figcaption>\
         <div class=\"wide\">{wide}</div><div class=\"narrow\" hidden>{narrow}</div></figure>\n",
        escaped(chart.title),
        legend(record, chart.has_secondary),
        escaped(chart.note)
    ))
}

fn legend(record: &Record, has_secondary: bool) -> String {
    let mut html = "<ul class=\"legend\">".to_owned();
    for (index, strategy) in record.strategies.iter().enumerate() {
        html.push_str(&format!(
            "<li class=\"{}\">{}{}</li>",
            strategy_class(index),
            swatch(index),
            escaped(&strategy.name)
        ));
    }
    if has_secondary {
        for (class, dashed, name) in [("", false, "p50"), (" dashed", true, "p99")] {
            let sample = line_sample(dashed);
            html.push_str(&format!(
                "<li class=\"of-lines{class}\">{sample}{name}</li>"
            ));
        }
    }
    html.push_str("</ul>");
    html
}

fn linear_over_time(
    record: &Record,
    name: &'static str,
    title: &'static str,
    note: &'static str,
    values: fn(&Series) -> &[f64],
) -> Option<Chart> {
    let end = end_of_series(record)?;
    let lines: Vec<Line> = record
        .strategies
        .iter()
        .enumerate()
        .map(|(index, strategy)| {
            let series = &strategy.series;
            let known: Vec<Option<f64>> = values(series).iter().map(|v| Some(*v)).collect();
            Line {
                ink: Ink::Strategy(index),
                runs: runs(&thinned(&known, series.bin_s, mean)),
            }
        })
        .collect();
    let highest = highest(&lines)?;
    let frame = Frame::of(record, title);
    Some(Chart {
        name,
        title,
        note,
        has_secondary: false,
        plot: Box::new(move |across, up| {
            frame.plot(
                Axis::seconds(end, across),
                Axis::linear(highest, up),
                lines.clone(),
            )
        }),
    })
}

fn propagation_over_time(record: &Record) -> Option<Chart> {
    let end = end_of_series(record)?;
    let all = record.strategies.iter().map(|s| &s.series);
    let y = Axis::log_milliseconds(
        all.flat_map(|s| s.propagation_p50_ms.iter().chain(&s.propagation_p99_ms))
            .flatten()
            .copied(),
    );
    let mut lines = Vec::new();
    for (index, strategy) in record.strategies.iter().enumerate() {
        let series = &strategy.series;
        for (ink, values) in [
            (Ink::Secondary(index), &series.propagation_p99_ms),
            (Ink::Strategy(index), &series.propagation_p50_ms),
        ] {
            let points = thinned(values, series.bin_s, largest)
                .into_iter()
                .map(|(at, value)| (at, value.and_then(|ms| on_log_axis(&y, ms))))
                .collect::<Vec<_>>();
            lines.push(Line {
                ink,
                runs: runs(&points),
            });
        }
    }
    highest(&lines)?;
    let title = "Propagation over time";
    let frame = Frame::of(record, title);
    Some(Chart {
        name: "propagation",
        title,
        note: "From a change's answer to its event on the topic, by when the event was seen. \
               Logarithmic; no line where nothing was seen, or before its answer.",
        has_secondary: true,
        plot: Box::new(move |across, _| {
            frame.plot(Axis::seconds(end, across), y.clone(), lines.clone())
        }),
    })
}

/// Returns the place of a value; `None` for 0, which a logarithmic axis does not have.
fn on_log_axis(y: &Axis, ms: f64) -> Option<f64> {
    (ms > 0.0).then(|| y.clamp(ms.log10()))
}

fn by_percentile(
    record: &Record,
    name: &'static str,
    title: &'static str,
    note: &'static str,
    pick: fn(&LatencySet) -> &Latency,
) -> Option<Chart> {
    let latencies: Vec<&Latency> = record
        .strategies
        .iter()
        .map(|strategy| pick(&strategy.latency_ms))
        .collect();
    let count = latencies.iter().map(|latency| latency.count).max()?;
    let curves = latencies.iter().flat_map(|latency| &latency.curve);
    let y = Axis::log_milliseconds(curves.map(|(_, ms)| *ms));
    let mut lines = Vec::new();
    for (index, latency) in latencies.iter().enumerate() {
        let mut points: Vec<(f64, f64)> = latency
            .curve
            .iter()
            .filter(|(percentile, ms)| percentile.is_finite() && ms.is_finite())
            .map(|(percentile, ms)| {
                let across = axis::nines(*percentile, latency.count);
                (across, y.clamp(ms.max(f64::MIN_POSITIVE).log10()))
            })
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        if latency.censored > 0
            && let Some(last) = points.last()
        {
            lines.push(Line {
                ink: Ink::Runaway(index),
                runs: vec![vec![*last, (last.0, y.to)]],
            });
        }
        lines.push(Line {
            ink: Ink::Strategy(index),
            runs: vec![points],
        });
    }
    highest(&lines)?;
    let description = title.to_owned();
    Some(Chart {
        name,
        title,
        note,
        has_secondary: false,
        plot: Box::new(move |_, _| Plot {
            description: description.clone(),
            x: Axis::percentiles(count),
            y: y.clone(),
            windows: Vec::new(),
            moments: Vec::new(),
            lines: lines.clone(),
        }),
    })
}

/// What all plots over time have in common.
struct Frame {
    description: String,
    windows: Vec<Window>,
    moments: Vec<(f64, String)>,
}

impl Frame {
    fn of(record: &Record, title: &str) -> Self {
        let windows = windows(record);
        let faults: Vec<&str> = windows.iter().map(|w| w.label.as_str()).collect();
        let description = if faults.is_empty() {
            format!("{title} over the run")
        } else {
            format!("{title} over the run; shaded: {}", faults.join(", "))
        };
        Self {
            description,
            windows,
            moments: load_end(record).into_iter().collect(),
        }
    }

    fn plot(&self, x: Axis, y: Axis, lines: Vec<Line>) -> Plot {
        let on_axis = |at: f64| at < x.to;
        Plot {
            description: self.description.clone(),
            windows: self
                .windows
                .iter()
                .filter(|window| on_axis(window.from))
                .cloned()
                .collect(),
            moments: self
                .moments
                .iter()
                .filter(|(at, _)| on_axis(*at))
                .cloned()
                .collect(),
            x,
            y,
            lines,
        }
    }
}

/// When each fault was in force. One with a time, over all strategies: the n-th fault is the same in all
/// of them. One that waited for something, in each by itself.
fn windows(record: &Record) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    let most = record.strategies.iter().map(|s| s.faults.len()).max();
    for index in 0..most.unwrap_or(0) {
        let mut shared: Option<Window> = None;
        for strategy in &record.strategies {
            let Some(fault) = strategy.faults.get(index) else {
                continue;
            };
            let Some(mut window) = window(fault) else {
                continue;
            };
            if fault.trigger.is_some() {
                window.label = format!("{} ({})", window.label, strategy.name);
                windows.push(window);
                continue;
            }
            let known = shared.get_or_insert_with(|| window.clone());
            known.from = known.from.min(window.from);
            known.to = known.to.max(window.to);
        }
        windows.extend(shared);
    }
    windows.sort_by(|a, b| a.from.total_cmp(&b.from));
    windows
}

/// When a fault was in force, if it ever was.
fn window(fault: &Fault) -> Option<Window> {
    let healed = fault.healed_s.filter(|at| at.is_finite());
    Some(Window {
        from: fault.injected_s.filter(|at| at.is_finite())?,
        to: healed.unwrap_or(f64::MAX),
        label: comparison::fault_name(fault),
    })
}

fn load_end(record: &Record) -> Option<(f64, String)> {
    let ends = record.strategies.iter().flat_map(|s| &s.phases);
    let end = ends
        .map(|phase| phase.until_s)
        .filter(|at| at.is_finite())
        .max_by(f64::total_cmp)?;
    (end > 0.0).then(|| (end, "load ends".to_owned()))
}

fn end_of_series(record: &Record) -> Option<f64> {
    let ends = record.strategies.iter().map(|strategy: &Strategy| {
        let series = &strategy.series;
        let bins = series
            .acknowledged_per_s
            .len()
            .max(series.published_per_s.len())
            .max(series.backlog.len())
            .max(series.propagation_p50_ms.len())
            .max(series.propagation_p99_ms.len());
        bins as f64 * series.bin_s
    });
    ends.filter(|end| end.is_finite() && *end > 0.0)
        .max_by(f64::total_cmp)
}

/// Returns the value of the highest point drawn; `None` if there is no point at all.
fn highest(lines: &[Line]) -> Option<f64> {
    lines
        .iter()
        .flat_map(|line| line.runs.iter().flatten())
        .map(|(_, value)| *value)
        .max_by(f64::total_cmp)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::MIN, f64::max)
}

/// Bins as points in their middle, put together where there are more than can be told apart.
fn thinned(
    values: &[Option<f64>],
    bin_s: f64,
    together: fn(&[f64]) -> f64,
) -> Vec<(f64, Option<f64>)> {
    let each = values.len().div_ceil(POINTS_MAX).max(1);
    values
        .chunks(each)
        .enumerate()
        .map(|(index, bins)| {
            let known: Vec<f64> = bins
                .iter()
                .flatten()
                .copied()
                .filter(|value| value.is_finite())
                .collect();
            let middle = (index * each) as f64 + bins.len() as f64 / 2.0;
            let value = (!known.is_empty()).then(|| together(&known));
            (middle * bin_s, value)
        })
        .collect()
}

/// Returns the points without the gaps between them: nothing is drawn where nothing was measured.
fn runs(points: &[(f64, Option<f64>)]) -> Vec<Vec<(f64, f64)>> {
    points
        .split(|(_, value)| value.is_none())
        .map(|run| {
            run.iter()
                .filter_map(|(at, value)| value.map(|value| (*at, value)))
                .collect::<Vec<_>>()
        })
        .filter(|run| !run.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_value_of_0_when_the_axis_is_logarithmic_then_it_has_no_place_there() {
        let y = Axis::log_milliseconds([0.1, 10.0].into_iter());
        assert_eq!(on_log_axis(&y, 0.0), None);
        assert_eq!(on_log_axis(&y, 1.0), Some(0.0));
    }

    #[test]
    fn nothing_is_drawn_where_nothing_was_measured() {
        let points = [(0.0, Some(1.0)), (1.0, None), (2.0, Some(3.0))];
        assert_eq!(runs(&points), [vec![(0.0, 1.0)], vec![(2.0, 3.0)]]);
    }

    #[test]
    fn a_long_run_has_no_more_points_than_a_screen_can_show() {
        let hour: Vec<Option<f64>> = (0..36_000).map(|n| Some(f64::from(n))).collect();
        let points = thinned(&hour, 0.1, mean);
        assert!(points.len() <= POINTS_MAX);
        assert!((points[0].0 - 3.6).abs() < 1e-9);
    }
}
