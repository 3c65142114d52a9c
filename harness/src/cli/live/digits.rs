//! Figures for the last row: five rows high, of full blocks.

/// A figure is so many rows high.
pub const HEIGHT: u16 = 5;

/// Each row of a figure (0 to 9) is given as the bits of three columns.
const FIGURES: [[u8; HEIGHT as usize]; 10] = [
    [7, 5, 5, 5, 7],
    [2, 6, 2, 2, 7],
    [7, 1, 7, 4, 7],
    [7, 1, 7, 1, 7],
    [5, 5, 7, 1, 1],
    [7, 4, 7, 1, 7],
    [7, 4, 7, 5, 7],
    [7, 1, 2, 2, 2],
    [7, 5, 7, 5, 7],
    [7, 5, 7, 1, 7],
];

/// Returns the rows of a number; what is no figure in it is left out.
pub fn of(number: &str) -> [String; HEIGHT as usize] {
    std::array::from_fn(|row| {
        let figures = number.chars().filter_map(|c| c.to_digit(10));
        let of_figure = |figure: u32| {
            let bits = FIGURES[figure as usize][row];
            // Twice as wide as bits: a cell of a terminal is twice as high as wide.
            let cells = [4, 2, 1].map(|bit| if bits & bit != 0 { "██" } else { "  " });
            format!("{}  ", cells.concat())
        };
        figures.map(of_figure).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_number_then_its_figures_stand_side_by_side() {
        let rows = of("1,047");
        assert_eq!(rows[0], "  ██    ██████  ██  ██  ██████  ");
        assert!(rows.iter().all(|row| row.chars().count() == 32));
    }
}
