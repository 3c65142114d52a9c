//! One plot, drawn by plotters as SVG that takes its colours from the page.

use super::axis::Axis;
use super::escape::escaped;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A pixel at natural size has so many SVG units. The backend draws at whole units only.
const SCALE: i32 = 4;
const FONT_PX: f64 = 12.0;
/// plotters' SVG backend divides by it what it is given.
const FONT_FACTOR: f64 = 1.24;
/// A letter is so wide, on average, in pixels at [`FONT_PX`].
const LETTER_PX: f64 = 6.6;
const LANE_PX: i32 = 17;
/// Labels above the plot have this many lines at most; what does not fit is in the tables.
const LANES_MAX: usize = 3;
const Y_LABELS_PX: i32 = 58;
const X_LABELS_PX: i32 = 26;
const RIGHT_PX: i32 = 16;
/// Lines beneath others are wider by so many steps at most.
const WIDER_MAX: usize = 3;
/// There are so many inks of strategies before they repeat, dashed.
const STRATEGY_INKS: usize = 8;

/// What something is drawn in. The page's style sheet says how that looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// It draws a strategy, by its place in the record.
    Strategy(usize),
    /// It draws a strategy's secondary line.
    Secondary(usize),
    /// It draws a strategy's line towards what never came.
    Runaway(usize),
    /// It fills the area of a fault window.
    Window,
    /// It draws the edges of a fault window and the like.
    Edge,
    /// It draws the grid lines.
    Grid,
    /// It writes the labels of axes, windows and moments.
    Label,
}

impl Ink {
    /// Returns the colour that stands for the ink in plotters' output, which knows nothing of classes.
    fn placeholder(self) -> RGBColor {
        let (kind, index) = match self {
            Self::Strategy(index) => (1, index),
            Self::Secondary(index) => (2, index),
            Self::Runaway(index) => (3, index),
            Self::Window => (4, 0),
            Self::Edge => (5, 0),
            Self::Grid => (6, 0),
            Self::Label => (7, 0),
        };
        RGBColor(0xC0, kind, (index % (2 * STRATEGY_INKS)) as u8)
    }

    /// How it looks where the style sheet is blocked, on an element whose line or whose area it is.
    pub(super) fn attributes(self, of: &str) -> String {
        let (colour, more) = match self {
            Self::Strategy(index) if index % (2 * STRATEGY_INKS) >= STRATEGY_INKS => {
                (PLAIN[index % STRATEGY_INKS], " stroke-dasharray=\"28 18\"")
            }
            Self::Strategy(index) => (PLAIN[index % STRATEGY_INKS], ""),
            Self::Secondary(index) => (PLAIN[index % STRATEGY_INKS], " stroke-dasharray=\"14 14\""),
            Self::Runaway(index) => (PLAIN[index % STRATEGY_INKS], " stroke-dasharray=\"4 18\""),
            Self::Window => ("#b23c28", " fill-opacity=\"0.1\""),
            Self::Edge => (
                "#b23c28",
                " stroke-opacity=\"0.4\" stroke-dasharray=\"12 10\"",
            ),
            Self::Grid => ("currentColor", " stroke-opacity=\"0.15\""),
            Self::Label => ("currentColor", ""),
        };
        format!("{of}=\"{colour}\"{more}")
    }

    fn class(self) -> String {
        match self {
            Self::Strategy(index) => strategy_class(index),
            Self::Secondary(index) => format!("{} secondary", strategy_class(index)),
            Self::Runaway(index) => format!("{} runaway", strategy_class(index)),
            Self::Window => "window".to_owned(),
            Self::Edge => "edge".to_owned(),
            Self::Grid => "grid".to_owned(),
            Self::Label => "label".to_owned(),
        }
    }
}

/// Colours of strategies where no style sheet may be used; with one they are its own.
const PLAIN: [&str; STRATEGY_INKS] = [
    "#d55e00", "#0072b2", "#009e73", "#b0569a", "#b07d00", "#3a9bdc", "#5b5f97", "#6b6f76",
];

/// Returns a sign of a strategy's colour, to stand before its name. It is an empty element that the style sheet
/// draws; the picture in it is for pages whose style sheet is blocked.
pub fn swatch(index: usize) -> String {
    let ink = Ink::Strategy(index).attributes("stroke");
    sample(&ink)
}

/// The same for one of the two kinds of lines that a strategy has.
pub fn line_sample(dashed: bool) -> String {
    sample(if dashed {
        "stroke=\"currentColor\" stroke-dasharray=\"5 3\""
    } else {
        "stroke=\"currentColor\""
    })
}

fn sample(attributes: &str) -> String {
    format!(
        "<i><svg width=\"18\" height=\"10\" aria-hidden=\"true\"><path d=\"M0 6H18\" \
         stroke-width=\"3\" {attributes}/></svg></i> "
    )
}

/// The class that gives an element its strategy's colour.
pub fn strategy_class(index: usize) -> String {
    let repeated = if index % (2 * STRATEGY_INKS) >= STRATEGY_INKS {
        " repeated"
    } else {
        ""
    };
    format!("k{}{repeated}", index % STRATEGY_INKS)
}

/// This is a line, in the units of the axes.
#[derive(Debug, Clone)]
pub struct Line {
    /// This is the line's colour and style.
    pub ink: Ink,
    /// Runs of points without a gap between them.
    pub runs: Vec<Vec<(f64, f64)>>,
}

/// This is a stretch of the x axis with a name.
#[derive(Debug, Clone)]
pub struct Window {
    /// This is where the stretch begins, in the unit of the x axis.
    pub from: f64,
    /// This is where the stretch ends; what lies beyond the axis is not drawn.
    pub to: f64,
    /// This names the stretch; it is shown above the plot.
    pub label: String,
}

/// This is all that one plot shows: axes, windows, moments and lines.
#[derive(Debug, Clone)]
pub struct Plot {
    /// For those who cannot see it.
    pub description: String,
    /// This is the horizontal axis.
    pub x: Axis,
    /// This is the vertical axis.
    pub y: Axis,
    /// These stretches of the x axis are shaded over the whole height, beneath the lines.
    pub windows: Vec<Window>,
    /// Each moment is a place on the x axis with a name, e.g. the end of the load.
    pub moments: Vec<(f64, String)>,
    /// Later lines are drawn above earlier ones.
    pub lines: Vec<Line>,
}

/// This is the natural size of a picture, in pixels.
#[derive(Debug, Clone, Copy)]
pub struct Canvas {
    /// This is the width of the whole picture, labels included, in pixels.
    pub width: i32,
    /// This is the height of the whole picture, labels included, in pixels.
    pub height: i32,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type PlotContext<'a, 'b> = ChartContext<'b, SVGBackend<'a>, Cartesian2d<Axis, Axis>>;

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (self.clamp(*value) - self.from) / (self.to - self.from);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            return Vec::new();
        }
        self.ticks.iter().map(|(value, _)| *value).collect()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.label(*value)
    }
}

impl Plot {
    /// Returns the plot as an `svg` element; an error says why it could not be drawn.
    pub fn svg(&self, canvas: Canvas) -> Result<String, String> {
        let mut svg = String::new();
        {
            let size = (scaled(canvas.width), scaled(canvas.height));
            let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            self.draw(&root, canvas)
                .map_err(|error| error.to_string())?;
        }
        Ok(self.in_the_page(&svg, canvas))
    }

    fn draw(&self, root: &Area<'_>, canvas: Canvas) -> Result<(), Box<dyn std::error::Error>> {
        let lanes = self.lanes(canvas);
        let used = lanes.iter().map(|(lane, ..)| lane + 1).max().unwrap_or(0);
        let top = LANE_PX * used as i32 + 8;
        let mut chart = ChartBuilder::on(root)
            .margin_top(top * SCALE)
            .margin_right(RIGHT_PX * SCALE)
            .x_label_area_size(X_LABELS_PX * SCALE)
            .y_label_area_size(Y_LABELS_PX * SCALE)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        self.shade(&mut chart)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(Ink::Grid.placeholder().stroke_width(SCALE as u32))
            .light_line_style(TRANSPARENT)
            .axis_style(TRANSPARENT)
            .label_style(text_style(Ink::Label))
            .set_tick_mark_size(LabelAreaPosition::Bottom, 4 * SCALE)
            .set_tick_mark_size(LabelAreaPosition::Left, 3 * SCALE)
            .draw()?;
        self.mark(&mut chart)?;
        let last = self.lines.iter().filter_map(|line| match line.ink {
            Ink::Strategy(index) => Some(index),
            Ink::Secondary(_)
            | Ink::Runaway(_)
            | Ink::Window
            | Ink::Edge
            | Ink::Grid
            | Ink::Label => None,
        });
        let last = last.max().unwrap_or(0).min(WIDER_MAX);
        for line in &self.lines {
            draw_line(&mut chart, line, last)?;
        }
        for (lane, at, anchor, label) in lanes {
            let style = text_style(Ink::Label).pos(Pos::new(anchor, VPos::Center));
            let y = (LANE_PX * lane as i32 + LANE_PX / 2 + 2) * SCALE;
            root.draw_text(&label, &style, (at * SCALE, y))?;
        }
        Ok(())
    }

    fn shade(&self, chart: &mut PlotContext<'_, '_>) -> Result<(), Box<dyn std::error::Error>> {
        let (bottom, top) = (self.y.from, self.y.to);
        for window in &self.windows {
            let (from, to) = (self.x.clamp(window.from), self.x.clamp(window.to));
            let style = Ink::Window.placeholder().filled();
            chart.draw_series([Rectangle::new([(from, bottom), (to, top)], style)])?;
            let edge = Ink::Edge.placeholder().stroke_width(SCALE as u32);
            for at in [from, to] {
                chart.draw_series([PathElement::new(vec![(at, bottom), (at, top)], edge)])?;
            }
        }
        Ok(())
    }

    fn mark(&self, chart: &mut PlotContext<'_, '_>) -> Result<(), Box<dyn std::error::Error>> {
        let edge = Ink::Edge.placeholder().stroke_width(SCALE as u32);
        for (at, _) in &self.moments {
            let at = self.x.clamp(*at);
            let ends = vec![(at, self.y.from), (at, self.y.to)];
            chart.draw_series([PathElement::new(ends, edge)])?;
        }
        Ok(())
    }

    /// Returns the labels above the plot: lane, x in pixels, anchor, text. None lies over another.
    fn lanes(&self, canvas: Canvas) -> Vec<(usize, i32, HPos, String)> {
        let width = f64::from(canvas.width - Y_LABELS_PX - RIGHT_PX);
        let edge = f64::from(canvas.width - 2);
        let place = |value: f64| {
            let share = (self.x.clamp(value) - self.x.from) / (self.x.to - self.x.from);
            f64::from(Y_LABELS_PX) + share * width
        };
        let windows = self
            .windows
            .iter()
            .map(|w| (place(w.from), w.label.as_str()));
        let moments = self
            .moments
            .iter()
            .map(|(at, label)| (place(*at), label.as_str()));
        let mut ends = [f64::NEG_INFINITY; LANES_MAX];
        let mut placed = Vec::new();
        for (at, label) in windows.chain(moments) {
            let room = ((edge / LETTER_PX) as usize).max(4);
            let label = if label.chars().count() > room {
                label.chars().take(room - 1).chain(['…']).collect()
            } else {
                label.to_owned()
            };
            let length = label.chars().count() as f64 * LETTER_PX;
            let (start, anchor, at) = if at + length <= edge {
                (at, HPos::Left, at)
            } else {
                (edge - length, HPos::Right, edge)
            };
            let Some(lane) = ends.iter().position(|end| start > end + LETTER_PX) else {
                continue;
            };
            ends[lane] = start + length;
            placed.push((lane, at as i32, anchor, label));
        }
        placed
    }

    /// Colours become classes, so that the page's style sheet can follow light and dark, and attributes,
    /// which it overrides, for pages whose style sheet is blocked; the size becomes a ratio.
    fn in_the_page(&self, svg: &str, canvas: Canvas) -> String {
        let body = svg.split_once('>').map_or("", |(_, body)| body);
        let mut body = body.to_owned();
        for ink in self.inks() {
            let RGBColor(r, g, b) = ink.placeholder();
            for attribute in ["stroke", "fill"] {
                let colour = format!("{attribute}=\"#{r:02X}{g:02X}{b:02X}\"");
                let drawn = format!("class=\"{}\" {}", ink.class(), ink.attributes(attribute));
                body = body.replace(&colour, &drawn);
            }
        }
        let body = body.replace("opacity=\"1\" ", "");
        format!(
            "<svg viewBox=\"0 0 {} {}\" width=\"{}\" height=\"{}\" role=\"img\" \
             aria-label=\"{}\">{body}",
            scaled(canvas.width),
            scaled(canvas.height),
            canvas.width,
            canvas.height,
            escaped(&self.description)
        )
    }

    fn inks(&self) -> Vec<Ink> {
        let mut inks = vec![Ink::Window, Ink::Edge, Ink::Grid, Ink::Label];
        for line in &self.lines {
            if !inks.contains(&line.ink) {
                inks.push(line.ink);
            }
        }
        inks
    }
}

/// Where lines coincide, the ones beneath are seen at the edges: they are wider, by how many lie above them.
fn draw_line(
    chart: &mut PlotContext<'_, '_>,
    line: &Line,
    last: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let width = match line.ink {
        Ink::Strategy(index) => 2 * SCALE + (last - index.min(last)) as i32 * SCALE * 3 / 2,
        Ink::Runaway(_) => 2 * SCALE,
        Ink::Secondary(_) | Ink::Window | Ink::Edge | Ink::Grid | Ink::Label => SCALE + SCALE / 2,
    };
    let style = line.ink.placeholder().stroke_width(width as u32);
    for run in &line.runs {
        match run.as_slice() {
            [] => {}
            // A line of one point has no length, and would not be seen.
            [point] => {
                let dot = Circle::new(*point, width, line.ink.placeholder().filled());
                chart.draw_series([dot])?;
            }
            points => {
                chart.draw_series([PathElement::new(points.to_vec(), style)])?;
            }
        }
    }
    Ok(())
}

fn text_style(ink: Ink) -> TextStyle<'static> {
    let size = FONT_PX * f64::from(SCALE) * FONT_FACTOR;
    let mut style = TextStyle::from(("sans-serif", size).into_font());
    style.color = ink.placeholder().to_backend_color();
    style
}

fn scaled(pixels: i32) -> u32 {
    (pixels * SCALE).unsigned_abs()
}
