//! The live view of a run: what is shown, drawn with characters. It knows neither the terminal nor the keyboard.

use super::digits;
use super::expected::in_short;
use super::shown::{Figure, Shown, ShownKey, ShownLane, ShownPart, Tone};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Padding, Paragraph, Sparkline, Wrap};
use reports::count;
use std::ops::Range;

/// From this width and height on, lanes stand side by side, with figures for the last row.
const WIDE: (u16, u16) = (120, 34);
/// A lane that stands beside others is at least so many columns wide, and one that lies across the screen so many
/// rows high.
const LANE_COLUMNS: u16 = 30;
const LANE_ROWS: u16 = 3;
/// Smaller than this, nothing can be read.
const SMALLEST: (u16, u16) = (60, 20);

/// This is drawn on a terminal: one moment of a run.
pub struct View<'a> {
    /// The view is of this moment, in words and figures.
    pub shown: &'a Shown,
    /// Whether the explanation is open.
    pub explains: bool,
    /// Whether there are colours. Nothing is said by colour alone.
    pub colour: bool,
}

impl View<'_> {
    /// Draws all of it.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
            let (width, height) = SMALLEST;
            let text =
                format!("It goes on. It takes {width} columns and {height} rows to show it.");
            frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
            return;
        }
        let titles = self.head(area.width);
        let [head, lanes, timeline, answer, keys] = Layout::vertical([
            Constraint::Length(titles.len() as u16),
            Constraint::Min(12),
            Constraint::Length(3),
            Constraint::Length(1),
            Constraint::Length(2),
        ])
        .areas(area);
        frame.render_widget(Paragraph::new(titles), head);
        self.lanes(frame, lanes);
        self.timeline(frame, timeline);
        let said = Line::from(format!(" {}", self.shown.said)).style(self.bold());
        frame.render_widget(said, answer);
        frame.render_widget(Paragraph::new(self.keys(keys.width)), keys);
        if self.explains {
            explain(frame, area, self.shown.explanation);
        }
    }

    /// One line, or two where what is shown has a long name.
    fn head(&self, width: u16) -> Vec<Line<'static>> {
        let Shown {
            title, when, aside, ..
        } = self.shown;
        let one = format!(" {title} · {when}");
        let fits = one.chars().count() + aside.chars().count() + 2 <= usize::from(width);
        let rows = match fits {
            true => vec![(one, aside.as_str())],
            false => vec![(format!(" {title}"), ""), (format!(" {when}"), aside)],
        };
        let lines = rows.into_iter().map(|(left, right)| {
            let gap = usize::from(width)
                .saturating_sub(left.chars().count() + right.chars().count() + 1)
                .max(1);
            Line::from(format!("{left}{}{right} ", " ".repeat(gap)))
                .style(self.bold().add_modifier(Modifier::REVERSED))
        });
        lines.collect()
    }

    fn lanes(&self, frame: &mut Frame<'_>, area: Rect) {
        let full = frame.area();
        let lanes = &self.shown.lanes;
        let has_columns = usize::from(full.width / LANE_COLUMNS) >= lanes.len();
        let wide = full.width >= WIDE.0 && full.height >= WIDE.1 && has_columns;
        let room = match wide {
            true => lanes.len(),
            false => usize::from(area.height / LANE_ROWS),
        };
        let lanes = &lanes[around(self.shown.focus, room, lanes.len())];
        let layout = match wide {
            true => Layout::horizontal(lanes.iter().map(|_| Constraint::Fill(1))),
            // All as high as each other: what looks different would seem to mean something.
            false => {
                let height = area.height / lanes.len().max(1) as u16;
                Layout::vertical(lanes.iter().map(|_| Constraint::Length(height)))
            }
        };
        for (lane, place) in lanes.iter().zip(layout.split(area).iter()) {
            match wide {
                true => self.column(frame, lane, *place),
                false => self.row(frame, lane, *place),
            }
        }
    }

    fn block(
        &self,
        lane: &ShownLane,
        borders: Borders,
        beside: Vec<Span<'static>>,
    ) -> Block<'static> {
        let name = Span::styled(
            format!(" {} ", lane.name),
            self.bold().add_modifier(Modifier::REVERSED),
        );
        let title = std::iter::once(name).chain(beside);
        let phase = format!(" {} ", lane.phase);
        Block::new()
            .borders(borders)
            .title_top(title.collect::<Line<'_>>())
            .title_top(Line::from(phase).right_aligned())
    }

    /// Draws a lane across the screen.
    fn row(&self, frame: &mut Frame<'_>, lane: &ShownLane, area: Rect) {
        let parts = self.state(&lane.parts).into_iter();
        let beside = std::iter::once(Span::raw(" ")).chain(parts).collect();
        let block = self.block(lane, Borders::TOP, beside);
        let inner = block.inner(area);
        frame.render_widget(block, area);
        // Where there is little room, what is counted and its rates are what matters.
        let has_room = inner.height >= 4;
        let [counts, expected, rates] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(u16::from(has_room)),
            Constraint::Fill(1),
        ])
        .areas(inner);
        frame.render_widget(Line::from(self.counts(lane)), counts);
        frame.render_widget(Line::from(self.expected(lane)), expected);
        self.rates(frame, lane, rates);
    }

    /// A lane from top to bottom, with what is missing so large that the last row sees it.
    fn column(&self, frame: &mut Frame<'_>, lane: &ShownLane, area: Rect) {
        let block = self.block(lane, Borders::ALL, Vec::new());
        let block = block.padding(Padding::uniform(1));
        let inner = block.inner(area);
        frame.render_widget(block, area);
        let promises = self.promises(lane, inner.height);
        // In all columns at the same height: what looks different would seem to mean something.
        let lanes = self.shown.lanes.iter();
        let most = lanes.map(|lane| self.promises(lane, inner.height).len());
        let most = most.max().unwrap_or(0) as u16;
        let [parts, counts, word, large, _, expected, _, rates] = Layout::vertical([
            // All of them broken take two lines.
            Constraint::Length(2),
            Constraint::Length(6),
            Constraint::Length(1),
            Constraint::Length(digits::HEIGHT),
            Constraint::Length(1),
            Constraint::Length(most),
            Constraint::Length(1),
            Constraint::Min(4),
        ])
        .areas(inner);
        frame.render_widget(Paragraph::new(promises), expected);
        let state = Paragraph::new(Line::from(self.state(&lane.parts)));
        frame.render_widget(state.wrap(Wrap { trim: true }), parts);
        let lines = lane.figures.iter().map(|Figure { words, n, tone }| {
            Line::styled(format!("{words:14} {:>9}", count(*n)), self.style(*tone))
        });
        let mut lines: Vec<Line<'_>> = lines.collect();
        lines.push(Line::from(format!("{:14} {:>9}", "p99", lane.p99)));
        frame.render_widget(Paragraph::new(lines), counts);
        let Figure { words, n, tone } = lane.punchline;
        let style = self.style(tone);
        frame.render_widget(Line::styled(words, style), word);
        let large_lines: Vec<Line<'_>> =
            digits::of(&count(n)).into_iter().map(Line::from).collect();
        frame.render_widget(Paragraph::new(large_lines).style(style), large);
        self.rates(frame, lane, rates);
    }

    /// What is expected of a lane, each in a line where there is room for that in every lane.
    fn promises(&self, lane: &ShownLane, height: u16) -> Vec<Line<'static>> {
        /// What else stands in a column, with some room for its rates.
        const OTHERS: u16 = 22;
        let most = self
            .shown
            .lanes
            .iter()
            .map(|lane| lane.promises.len())
            .max();
        if usize::from(height) < usize::from(OTHERS) + most.unwrap_or(0) {
            let short = in_short(&lane.promises).into_iter();
            let lines = short.map(|(words, tone)| Line::styled(words, self.style(tone)));
            return lines.collect();
        }
        let lines = lane.promises.iter().map(|promise| {
            let words = format!("{:20} {}", promise.what, promise.words);
            Line::styled(words, self.style(promise.tone))
        });
        lines.collect()
    }

    /// How fast a lane is, and what is expected of it, in a line.
    fn expected(&self, lane: &ShownLane) -> Vec<Span<'static>> {
        let mut spans = vec![Span::raw(format!(" p99 {}", lane.p99))];
        for (words, tone) in in_short(&lane.promises) {
            spans.push(Span::raw(" · "));
            spans.push(Span::styled(words, self.style(tone)));
        }
        spans
    }

    fn rates(&self, frame: &mut Frame<'_>, lane: &ShownLane, area: Rect) {
        let rates = &lane.rates;
        // Half as much again as orders ever came in; a backlog that drains goes beyond, and is cut there.
        let orders = rates.iter().map(|(committed, _)| *committed).max();
        let most = orders.unwrap_or(0).max(1) * 3 / 2;
        let half = Constraint::Length((area.height / 2).max(1));
        let halves = Layout::vertical([half, half]).split(area);
        let of = [
            (
                "committed/s",
                Box::new(|r: &(u64, u64)| r.0) as Box<dyn Fn(&(u64, u64)) -> u64>,
            ),
            ("events/s", Box::new(|r: &(u64, u64)| r.1)),
        ];
        for ((words, pick), place) in of.into_iter().zip(halves.iter()) {
            let newest = rates.last().map_or(0, &pick);
            let [label, line] =
                Layout::horizontal([Constraint::Length(19), Constraint::Min(1)]).areas(*place);
            // On the line's foot.
            let foot = Rect {
                y: label.bottom().saturating_sub(1),
                height: label.height.min(1),
                ..label
            };
            let words = format!(" {words:11} {:>5} ", count(newest));
            frame.render_widget(Line::from(words), foot);
            let room = usize::from(line.width);
            let shown: Vec<u64> = rates
                .iter()
                .skip(rates.len().saturating_sub(room))
                .map(pick)
                .collect();
            frame.render_widget(Sparkline::default().data(shown).max(most), line);
        }
    }

    fn counts(&self, lane: &ShownLane) -> Vec<Span<'static>> {
        let spans = lane.figures.iter().flat_map(|Figure { words, n, tone }| {
            let style = self.style(*tone);
            [
                Span::styled(format!(" {words} "), style),
                Span::styled(
                    format!("{:<6}", count(*n)),
                    style.add_modifier(Modifier::BOLD),
                ),
            ]
        });
        spans.collect()
    }

    /// How its processes and its way to the broker are.
    fn state(&self, parts: &[ShownPart]) -> Vec<Span<'static>> {
        let spans = parts.iter().flat_map(|part| {
            let state = match part.is_broken {
                false => Span::styled(part.state, self.style(Tone::Kept)),
                true => Span::styled(
                    format!(" {} ", part.state),
                    self.style(Tone::Loss).add_modifier(Modifier::REVERSED),
                ),
            };
            [Span::raw(format!(" {} ", part.name)), state]
        });
        spans.chain([Span::raw(" ")]).collect()
    }

    fn timeline(&self, frame: &mut Frame<'_>, area: Rect) {
        let width = usize::from(area.width.saturating_sub(2)).max(1);
        let lasts = self.shown.load_lasts_s.unwrap_or(1.0).max(0.001);
        let now_s = self.shown.load_s.unwrap_or(0.0);
        let at = |s: f64| ((s / lasts * width as f64) as usize).min(width - 1);
        let mut cells: Vec<char> = (0..width)
            .map(|n| if n <= at(now_s) { '─' } else { '·' })
            .collect();
        let marks = &self.shown.marks;
        for mark in marks {
            let until_s = mark.until_s.unwrap_or(now_s);
            for cell in &mut cells[at(mark.from_s)..=at(until_s).max(at(mark.from_s))] {
                *cell = '█';
            }
        }
        // Letters last, so that what begins meanwhile does not cover them.
        for mark in marks {
            cells[at(mark.from_s)] = mark.key;
        }
        let bar: String = cells.into_iter().collect();
        let block = Block::new()
            .borders(Borders::TOP)
            .title(" what was broken ");
        let block = match &self.shown.page {
            Some(page) => block.title(Line::from(format!(" {page} ")).right_aligned()),
            None => block,
        };
        let lines = vec![
            Line::from(format!(" {bar}")),
            Line::from(format!(" {}", self.shown.turns)),
        ];
        frame.render_widget(Paragraph::new(lines).block(block), area);
    }

    /// No key is torn from what it does.
    fn keys(&self, width: u16) -> Vec<Line<'static>> {
        let mut lines = vec![Line::default()];
        for ShownKey {
            key,
            does,
            is_in_force,
        } in &self.shown.keys
        {
            let style = match is_in_force {
                true => self.bold().add_modifier(Modifier::REVERSED),
                false => Style::new(),
            };
            let name = match key {
                ' ' => "space".to_owned(),
                key => key.to_string(),
            };
            let one = Line::from(vec![
                Span::styled(format!(" {name} "), self.bold()),
                Span::styled(*does, style),
                Span::raw(" "),
            ]);
            match lines.last_mut() {
                Some(line) if line.width() + one.width() <= usize::from(width) => {
                    line.spans.extend(one.spans);
                }
                _ => lines.push(one),
            }
        }
        lines
    }

    fn bold(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn coloured(&self, colour: Color) -> Style {
        match self.colour {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }

    /// Returns how a tone looks. (Yellow cannot be read on white.)
    fn style(&self, tone: Tone) -> Style {
        match tone {
            Tone::Plain => Style::new(),
            Tone::Kept => self.coloured(Color::Green),
            Tone::Warning => self.coloured(Color::Magenta),
            Tone::Loss => self.coloured(Color::Red).add_modifier(Modifier::BOLD),
        }
    }
}

/// Of so many lanes, those that are shown where there is room for fewer: around the one of this place.
fn around(focus: usize, room: usize, lanes: usize) -> Range<usize> {
    let room = room.clamp(1, lanes.max(1)).min(lanes);
    let from = focus.saturating_sub(room / 2).min(lanes - room);
    from..from + room
}

fn explain(frame: &mut Frame<'_>, area: Rect, explanation: &'static str) {
    let block = Block::bordered()
        .title(" what is seen ")
        .padding(Padding::horizontal(1));
    let width = area.width.min(100);
    let height = area.height.min(24);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, place);
    let text = Paragraph::new(explanation).wrap(Wrap { trim: false });
    frame.render_widget(text.block(block), place);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::demo::occasion::EXPLANATION;
    use crate::cli::demo::staged::broken;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn drawn(size: (u16, u16), explains: bool) -> (String, Vec<Style>) {
        drawn_of(&Shown::of(&broken().now()), size, explains)
    }

    fn drawn_of(
        shown: &Shown,
        (width, height): (u16, u16),
        explains: bool,
    ) -> (String, Vec<Style>) {
        let view = View {
            shown,
            explains,
            colour: false,
        };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let rows = buffer.content().chunks(usize::from(width));
        let text = rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>() + "\n");
        let styles = buffer.content().iter().map(|cell| cell.style()).collect();
        (text.collect(), styles)
    }

    #[test]
    fn given_a_small_or_a_large_terminal_then_every_lane_every_figure_and_every_key_is_on_it() {
        for size in [(80, 24), WIDE, (200, 50)] {
            let (text, _) = drawn(size, false);
            for name in ["naive", "polling", "cdc"] {
                assert_eq!(text.matches(&format!(" {name} ")).count(), 1, "{text}");
            }
            for (shown, times) in [
                ("2,357", 3),
                ("1,879", 3),
                ("in the outbox", 2),
                ("401", 1),
                ("LOST", 1),
                (" CUT ", 3),
                ("relay up", 2),
                ("p99", 3),
                ("phantom = 0", 3),
                ("so far", 3),
                ("at the end", 3),
                ("figures are for show", 1),
                ("b cut the broker", 1),
                ("d mute the database", 1),
                ("x kill the service", 1),
                ("q quit", 1),
                ("? explain", 1),
            ] {
                assert!(text.matches(shown).count() >= times, "{shown} in:\n{text}");
            }
        }
    }

    #[test]
    fn given_a_large_terminal_then_the_loss_stands_in_figures_for_the_last_row() {
        let (small, _) = drawn((80, 24), false);
        let (large, _) = drawn((200, 50), false);
        let four = &digits::of("4")[1];
        assert!(large.contains(four.trim_end()), "{large}");
        assert!(!small.contains("██  ██"), "{small}");
    }

    #[test]
    fn given_no_colour_then_nothing_is_coloured() {
        let (_, styles) = drawn((80, 24), false);
        let plain = |style: &Style| {
            let of = |colour: Option<Color>| matches!(colour, None | Some(Color::Reset));
            of(style.fg) && of(style.bg)
        };
        assert!(styles.iter().all(plain));
    }

    #[test]
    fn given_a_page_then_its_address_is_on_the_screen_whole() {
        let board = broken();
        let url = format!("http://127.0.0.1:65535/{}/", "0123456789abcdef".repeat(2));
        board.has_page(url.clone());
        let shown = Shown::of(&board.now());
        let (text, _) = drawn_of(&shown, (80, 24), false);
        assert!(text.contains(&url), "{text}");
        assert!(text.contains("what was broken"), "{text}");
    }

    #[test]
    fn given_a_question_mark_then_what_is_seen_is_explained_whole() {
        for size in [(80, 24), (200, 50)] {
            let (text, _) = drawn(size, true);
            let last = EXPLANATION.lines().last().unwrap();
            assert!(text.contains(last), "{text}");
        }
    }

    #[test]
    fn given_more_lanes_than_there_is_room_for_then_those_around_the_one_whose_turn_it_is_are_shown()
     {
        let of = |focus| around(focus, 5, 32);
        assert_eq!([of(0), of(2), of(3), of(31)], [0..5, 0..5, 1..6, 27..32]);
        assert_eq!([around(2, 9, 3), around(0, 0, 3)], [0..3, 0..1]);
        assert_eq!(around(0, 5, 0), 0..0);
        let mut shown = Shown::of(&broken().now());
        let cdc = shown.lanes[2].clone();
        shown.lanes.extend(std::iter::repeat_n(cdc, 29));
        for (n, lane) in shown.lanes.iter_mut().enumerate() {
            lane.name = format!("lane-{n}");
        }
        shown.focus = 20;
        for size in [(80, 24), (200, 50)] {
            let (text, _) = drawn_of(&shown, size, false);
            assert!(
                text.contains(" lane-20 ") && text.contains("2,357"),
                "{text}"
            );
            assert!(!text.contains(" lane-0 "), "{text}");
        }
    }

    #[test]
    fn given_a_terminal_that_is_too_small_then_it_says_so() {
        let (text, _) = drawn((40, 10), false);
        assert!(text.contains("60 columns"), "{text}");
    }
}
