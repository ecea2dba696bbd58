//! Cron expressions, as GitHub takes them: five fields of numbers, names, ranges, and steps.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#schedule>

/// What a field may hold.
struct Field {
    min: u32,
    max: u32,
    /// Names for the numbers from `min` on.
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { min: 0, max: 59, names: &[] },
    Field { min: 0, max: 23, names: &[] },
    Field { min: 1, max: 31, names: &[] },
    Field {
        min: 1,
        max: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    Field { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

/// Whether GitHub takes this expression.
pub(super) fn is_valid(cron: &str) -> bool {
    let parts: Vec<&str> = split_at_blanks(cron);
    parts.len() == FIELDS.len() && parts.iter().zip(&FIELDS).all(|(part, field)| field.takes_list(part))
}

/// Blanks are the only separator; one at an end makes an empty field.
fn split_at_blanks(cron: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = cron;
    while let Some((part, more)) = rest.split_once(' ') {
        parts.push(part);
        rest = more.trim_start_matches(' ');
    }
    parts.push(rest);
    parts
}

impl Field {
    fn takes_list(&self, text: &str) -> bool {
        text.split(',').all(|part| self.takes_step(part))
    }

    fn takes_step(&self, text: &str) -> bool {
        let Some((range, step)) = text.split_once('/') else { return self.takes_range(text) };
        let step_is_good = match step {
            "*" => false,
            _ => self.number(step).is_some_and(|step| step > 0),
        };
        self.takes_range(range) && step_is_good
    }

    fn takes_range(&self, text: &str) -> bool {
        let Some((start, end)) = text.split_once('-') else {
            return text == "*" || self.number(text).is_some();
        };
        match (self.number(start), self.number(end)) {
            (Some(start), Some(end)) => start <= end,
            _ => false,
        }
    }

    /// A number or name within the bounds.
    fn number(&self, text: &str) -> Option<u32> {
        if let Some(place) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return u32::try_from(place).ok().map(|place| place + self.min);
        }
        let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number: u32 = text.parse().ok().filter(|_| is_decimal)?;
        (self.min..=self.max).contains(&number).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_github_documents_is_taken() {
        for cron in [
            "* * * * *",
            "15 4,5 * * *",
            "2,10 4-6 * * *",
            "20/15 * * * *",
            "30 5 * * 1-5",
            "0 0 1 JAN-mar sun",
            "*/5 * * * *",
            "1-30/2 * * * *",
            "0  0 * * *",
        ] {
            assert!(is_valid(cron), "{cron}");
        }
    }

    #[test]
    fn what_never_fits_is_refused() {
        for cron in [
            "",
            "* * * *",
            "* * * * * *",
            " * * * * *",
            "* * * * * ",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 7",
            "*/0 * * * *",
            "5-1 * * * *",
            ", * * * *",
            "1-2-3 * * * *",
            "@daily",
            "1/2/3 * * * *",
            "x * * * *",
            "-1 * * * *",
            "* * * * mon-sun",
            "é * * * *",
        ] {
            assert!(!is_valid(cron), "{cron}");
        }
    }
}
