//! Commit messages that ask for no run.

/// What a message may hold anywhere.
const INSTRUCTIONS: [&str; 5] = ["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"];

/// The trailer that asks for no checks, which must be the last line.
const TRAILER: &str = "skip-checks";

/// What in a commit message asks for no run
/// (<https://docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs>).
pub(super) fn skip_instruction(message: &str) -> Option<&'static str> {
    INSTRUCTIONS
        .into_iter()
        .find(|instruction| message.contains(instruction))
        .or_else(|| has_skip_trailer(message).then_some("skip-checks: true"))
}

/// Whether the last line is `skip-checks: true`, in trailers that two empty lines set off.
fn has_skip_trailer(message: &str) -> bool {
    let lines: Vec<&str> = message.trim_end().lines().map(str::trim_end).collect();
    let trailers = lines.iter().rev().take_while(|line| !line.is_empty()).count();
    let mut before = lines.iter().rev().skip(trailers);
    let set_off = before.next().is_some_and(|line| line.is_empty())
        && before.next().is_some_and(|line| line.is_empty());
    let asks = lines
        .last()
        .and_then(|line| line.split_once(':'))
        .is_some_and(|(key, value)| key.eq_ignore_ascii_case(TRAILER) && value.trim() == "true");
    set_off && asks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_counts_wherever_it_stands() {
        for message in [
            "Fix [skip ci]",
            "Title\n\nbody [ci skip] more",
            "[no ci]",
            "x[skip actions]x",
            "a\n[actions skip]\nb",
            "Title\n\n\nskip-checks: true\n",
            "Title\r\n\r\n\r\nskip-checks:true",
            "Title\n\nBody\n\n\nCo-authored-by: M <m@example.com>\nskip-checks: true\n\n",
        ] {
            assert!(skip_instruction(message).is_some(), "{message}");
        }
    }

    #[test]
    fn what_only_looks_like_an_instruction_does_not_count() {
        for message in [
            "",
            "skip ci",
            "[skip  ci]",
            "skip-checks: true",
            "Title\n\nskip-checks: true",
            "Title\n\n\nskip-checks: false",
            "Title\n\n\nskip-checks: true\nSigned-off-by: M",
            "Title\n\n\nskip-checks: true\n\nmore",
        ] {
            assert_eq!(skip_instruction(message), None, "{message}");
        }
    }
}
