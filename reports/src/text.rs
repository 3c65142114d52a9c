//! Text for a terminal: wrapped, and coloured where that is wanted.

/// Narrower than this nothing is fitted; lines just get longer than the terminal.
pub const NARROWEST: usize = 40;

/// This style is for what the eye should find.
pub const BOLD: &str = "1";
/// For what it may skip.
pub const DIM: &str = "2";

/// What is written on.
#[derive(Debug, Clone, Copy)]
pub struct Paper {
    /// This says whether words are painted with ANSI escape codes.
    pub colour: bool,
    /// Lines are wrapped at so many columns; less than [`NARROWEST`] counts as that.
    pub width: usize,
}

impl Paper {
    /// Returns words in a style, without anything in them that could steer the terminal.
    pub fn paint(&self, words: &str, code: &str) -> String {
        let words = plain(words);
        if self.colour {
            format!("\x1b[{code}m{words}\x1b[0m")
        } else {
            words
        }
    }

    /// Adds words to `text`, on as many lines as they need, each indented.
    pub fn wrapped(&self, words: &str, indent: usize, style: Option<&str>, text: &mut String) {
        let width = self.width.max(NARROWEST);
        for line in wrap(words, width.saturating_sub(indent)) {
            text.push_str(&" ".repeat(indent));
            match style {
                Some(style) => text.push_str(&self.paint(&line, style)),
                None => text.push_str(&line),
            }
            text.push('\n');
        }
    }
}

/// Returns the words without control characters: a record must not be able to steer the terminal.
pub fn plain(words: &str) -> String {
    words
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The words, cut where they are longer than the width.
pub fn cut(words: &str, width: usize) -> String {
    let words = plain(words);
    if words.chars().count() <= width {
        return words;
    }
    let mut shown: String = words.chars().take(width.saturating_sub(1)).collect();
    shown.push('…');
    shown
}

/// Returns the words, filled up with blanks to the width.
pub fn padded(words: &str, width: usize) -> String {
    let words = plain(words);
    let room = width.saturating_sub(words.chars().count());
    format!("{words}{}", " ".repeat(room))
}

/// Breaks at plain spaces; a word longer than a line is broken where the line ends.
pub fn wrap(words: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let words = plain(words);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        for letter in word.chars() {
            if used == width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(if letter == '\u{a0}' { ' ' } else { letter });
            used += 1;
        }
    }
    if used > 0 {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_breaks_at_spaces_and_long_words_at_the_edge() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh i", 5), ["abcde", "fgh i"]);
        assert_eq!(wrap("at 4.0\u{a0}s", 5), ["at", "4.0 s"]);
        assert!(wrap("", 5).is_empty());
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let paper = Paper {
            colour: false,
            width: 80,
        };
        assert_eq!(paper.paint("a\x1b[31mb", BOLD), "a [31mb");
        assert_eq!(cut("abcdef", 4), "abc…");
    }
}
