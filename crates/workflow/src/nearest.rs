//! What somebody may have meant who wrote a name that nobody knows.

/// Slips of the hand that may lie between two names.
const MOST_SLIPS: usize = 2;

/// The name that is most like this one, if one is: at most two slips of the hand away (a letter more, less,
/// another, or two swapped), and for short names no more than half of it. Case, and `_` for `-`, are none.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let name = plain(name);
    let slips = known.into_iter().map(|known| (strsim::osa_distance(&name, &plain(known)), known));
    let (slips, near) = slips.min_by_key(|(slips, _)| *slips)?;
    (slips <= MOST_SLIPS.min(name.chars().count() / 2)).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_slips_are_forgiven_and_half_of_a_short_name() {
        let known = ["on", "env", "needs", "runs-on", "steps", "timeout-minutes"];
        for (wrong, meant) in [
            ("need", Some("needs")),
            ("Runs_On", Some("runs-on")),
            ("run-on", Some("runs-on")),
            ("setps", Some("steps")),
            ("tiemout-minute", Some("timeout-minutes")),
            ("no", Some("on")),
            ("x", None),
            ("", None),
            ("if", None),
            ("image", None),
        ] {
            assert_eq!(nearest(wrong, known), meant, "{wrong}");
        }
        assert_eq!(nearest("on", []), None);
    }
}
