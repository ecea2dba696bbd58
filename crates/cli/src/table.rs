//! Tables: for people as wide as what is in them, and no wider than the terminal; for programs with tabs between.

use std::io::IsTerminal;

use model::Timestamp;
use server::pages::format::moment;

use crate::age::age;
use crate::run::output::{Size, Surroundings, fit, one_line, width};

/// Spaces between columns.
const GAP: usize = 2;

/// The least that a column is cut to: less says nothing.
const LEAST: usize = 8;

/// A table. The cells of a row are text of others: control characters are taken out.
pub(crate) struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Row>,
    /// The columns that are cut where the terminal is narrow, the first of them first.
    flexible: Vec<usize>,
}

struct Row {
    cells: Vec<String>,
    /// When something happened: its last cell.
    at: Option<Timestamp>,
}

impl Row {
    fn for_people(&self) -> Vec<String> {
        let at = self.at.map(|at| format!("{} ago", age(at.0)));
        self.cells.iter().cloned().chain(at).collect()
    }

    /// No cell has a tab in it.
    fn for_programs(&self) -> String {
        let at = self.at.map(|at| moment(at).replacen(' ', "T", 1) + "Z");
        self.cells.iter().cloned().chain(at).collect::<Vec<_>>().join("\t")
    }
}

impl Table {
    /// With these heads, of which the one at `flexible` gives way.
    pub(crate) fn new(heads: &[&'static str], flexible: usize) -> Table {
        Table { heads: heads.to_vec(), rows: Vec::new(), flexible: vec![flexible] }
    }

    /// The same; where that one can't give way any further, these do, one after the other.
    pub(crate) fn then(mut self, flexible: &[usize]) -> Table {
        self.flexible.extend(flexible);
        self
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(Row { cells: cells.into_iter().map(|cell| one_line(&cell)).collect(), at: None });
    }

    /// Adds a row that ends with when something happened.
    pub(crate) fn row_at(&mut self, cells: impl IntoIterator<Item = String>, at: Timestamp) {
        let cells = cells.into_iter().map(|cell| one_line(&cell)).collect();
        self.rows.push(Row { cells, at: Some(at) });
    }

    /// Prints a list: on a terminal as a table; elsewhere each row with tabs between its cells, whole, without heads,
    /// and with moments (UTC) for ages, as `gh` does, so that `cut` and `awk` find what they look for.
    pub(crate) fn list(&self) {
        if std::io::stdout().is_terminal() {
            return self.print();
        }
        for row in &self.rows {
            say!("{}", row.for_programs());
        }
    }

    /// Prints it as a part of a screen: on a terminal as wide as that, elsewhere whole.
    pub(crate) fn print(&self) {
        let columns = Surroundings::of_stdout().moves_cursor().then(|| Size::of_stdout().columns);
        for line in self.lines(columns) {
            say!("{line}");
        }
    }

    fn lines(&self, columns: Option<usize>) -> Vec<String> {
        let heads: Vec<String> = self.heads.iter().map(|head| (*head).to_owned()).collect();
        let all: Vec<Vec<String>> =
            std::iter::once(heads).chain(self.rows.iter().map(Row::for_people)).collect();
        let mut widths = vec![0; self.heads.len()];
        for (place, most) in widths.iter_mut().enumerate() {
            *most = all.iter().map(|row| row.get(place).map_or(0, |cell| width(cell))).max().unwrap_or(0);
        }
        let whole = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        if let Some(over) = columns.and_then(|columns| whole.checked_sub(columns)) {
            let mut over = over;
            for &place in &self.flexible {
                let left = widths[place].saturating_sub(over).max(LEAST.min(widths[place]));
                over = over.saturating_sub(widths[place] - left);
                widths[place] = left;
            }
        }
        all.iter().map(|row| line(row, &widths)).collect()
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, &columns) in row.iter().zip(widths) {
        let cell = fit(cell, columns);
        line.push_str(&cell);
        line.push_str(&" ".repeat(columns - width(&cell) + GAP));
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["RUN", "TITLE", "BY"], 1);
        table.row(["7".to_owned(), "A title that is long".to_owned(), "mona".to_owned()]);
        table.row(["12".to_owned(), "構築\x1b[2J".to_owned(), "hubot".to_owned()]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let lines = table().lines(None);
        assert_eq!(lines[0], "RUN  TITLE                 BY");
        assert_eq!(lines[1], "7    A title that is long  mona");
        assert_eq!(lines[2], "12   構築                  hubot");
    }

    #[test]
    fn for_programs_a_row_has_tabs_nothing_cut_and_a_moment_for_an_age() {
        let mut table = Table::new(&["NAME", "WHY", "SET"], 1);
        table.row_at(["a\tb".to_owned(), String::new()], Timestamp(1_750_000_000_123));
        assert_eq!(table.rows[0].for_programs(), "a  b\t\t2025-06-15T15:06:40.123Z");
        assert!(table.rows[0].for_people()[2].ends_with(" d ago"));
    }

    #[test]
    fn one_column_gives_way_on_a_narrow_terminal_and_only_so_far() {
        assert_eq!(table().lines(Some(25))[1], "7    A title that…  mona");
        assert_eq!(table().lines(Some(5))[1], "7    A title…  mona");
    }

    #[test]
    fn where_one_column_can_give_no_more_others_do() {
        let mut table = Table::new(&["TITLE", "REPOSITORY", "BRANCH"], 0).then(&[1, 2]);
        table.row(["A title that is long".to_owned(), "octo/a-long-name".to_owned(), "main".to_owned()]);
        assert_eq!(table.lines(Some(30))[1], "A title…  octo/a-long…  main");
        assert_eq!(table.lines(Some(30)).iter().map(|line| width(line)).max(), Some(30));
    }
}
