//! Tables in the terminal: aligned columns, a dim header, the last column takes what is left.

use crate::term::{Ink, fit, paint, wrap};

/// A cell: text and its colour.
pub(crate) type Cell = (String, Option<Ink>);

/// A plain cell.
pub(crate) fn cell(text: impl Into<String>) -> Cell {
    (text.into(), None)
}

/// A coloured cell.
pub(crate) fn inked(ink: Ink, text: impl Into<String>) -> Cell {
    (text.into(), Some(ink))
}

/// Lines of a table no wider than `width`. Columns but the last are as wide as their widest cell,
/// at most `COLUMN_MAX`.
pub(crate) fn lines(header: &[&str], rows: &[Vec<Cell>], width: usize) -> Vec<String> {
    let columns = header.len();
    let mut widths: Vec<usize> = header.iter().map(|title| title.chars().count()).collect();
    for row in rows {
        for (column, (text, _)) in row.iter().enumerate().take(columns) {
            widths[column] = widths[column].max(text.chars().count());
        }
    }
    let last = columns.saturating_sub(1);
    for column in &mut widths[..last] {
        *column = (*column).min(COLUMN_MAX);
    }
    let before: usize = widths[..last].iter().map(|width| width + 2).sum();
    widths[last] = widths[last].min(width.saturating_sub(before).max(LAST_MIN));

    let mut lines = Vec::with_capacity(rows.len() + 1);
    let header: Vec<Cell> = header.iter().map(|title| inked(Ink::Dim, *title)).collect();
    for row in std::iter::once(&header).chain(rows) {
        let (mut first, more) = unrolled(row, widths[last]);
        if row.len() < columns {
            first.clone_from(row);
        }
        lines.push(line(&first, &widths));
        let before = widths[..last].iter().map(|width| width + 2).sum();
        lines.extend(more.iter().map(|(text, ink)| {
            let text = ink.map_or_else(|| text.clone(), |ink| paint(ink, text));
            format!("{}{text}", " ".repeat(before))
        }));
    }
    lines
}

/// Widest column but the last.
const COLUMN_MAX: usize = 42;
/// The last column is never squeezed below this.
const LAST_MIN: usize = 20;
/// Lines that the last cell of a row takes at most.
const LINES_MAX: usize = 3;

/// The row with the first line of its last cell, and that cell's other lines.
fn unrolled(row: &[Cell], width: usize) -> (Vec<Cell>, Vec<Cell>) {
    let Some(((text, ink), before)) = row.split_last() else { return (Vec::new(), Vec::new()) };
    let mut parts = wrap(text, width, width, LINES_MAX).into_iter();
    let mut first = before.to_vec();
    first.push((parts.next().unwrap_or_default(), *ink));
    (first, parts.map(|part| (part, *ink)).collect())
}

fn line(row: &[Cell], widths: &[usize]) -> String {
    let mut text = String::new();
    for (column, ((cell, ink), width)) in row.iter().zip(widths).enumerate() {
        if column > 0 {
            text.push_str("  ");
        }
        let last = column + 1 == widths.len().min(row.len());
        let fitted = fit(cell, *width);
        let fitted = if last { fitted.trim_end() } else { &fitted };
        match ink {
            Some(ink) => text.push_str(&paint(*ink, fitted)),
            None => text.push_str(fitted),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_the_last_goes_on_below() {
        let rows = vec![
            vec![cell("Ada"), cell("a sentence that is longer than the terminal is wide")],
            vec![cell("Bartek"), cell("short")],
        ];
        assert_eq!(
            lines(&["who", "what"], &rows, 32),
            [
                "who     what",
                "Ada     a sentence that is",
                "        longer than the terminal",
                "        is wide",
                "Bartek  short"
            ]
        );
    }
}
