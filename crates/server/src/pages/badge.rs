//! How something stands, as a sign, a word, and a colour: never a colour alone.

use maud::{Markup, html};
use model::{AnnotationLevel, Conclusion, RunState};
use store::record::{Job, Step};

/// A word that pages, their style sheet (`s-success`), and tests (`data-state`) share.
pub(super) type Word = &'static str;

/// How a run stands.
pub(super) fn of_run(state: RunState, conclusion: Option<Conclusion>) -> Word {
    conclusion.map_or(state.as_str(), Conclusion::as_str)
}

/// How a job stands.
pub(super) fn of_job(job: &Job) -> Word {
    match job.conclusion {
        Some(conclusion) => conclusion.as_str(),
        None => job.state.as_str(),
    }
}

/// How a step stands. One whose failure did not count is marked as that.
pub(super) fn of_step(step: &Step) -> Word {
    match (step.outcome, step.conclusion) {
        (Some(Conclusion::Failure), Some(Conclusion::Success)) => "warning",
        (_, Some(conclusion)) => conclusion.as_str(),
        (_, None) => step.state.as_str(),
    }
}

/// All words that a run can have, in the order of its life.
pub(super) const RUN_WORDS: [Word; 7] =
    ["waiting", "queued", "running", "success", "failure", "cancelled", "skipped"];

/// What a word means for a filter of runs.
pub(super) fn of_word(word: &str) -> (Option<RunState>, Option<Conclusion>) {
    let conclusions = [Conclusion::Success, Conclusion::Failure, Conclusion::Cancelled, Conclusion::Skipped];
    let conclusion = conclusions.into_iter().find(|conclusion| conclusion.as_str() == word);
    (RunState::named(word).filter(|_| conclusion.is_none()), conclusion)
}

/// The sign alone, with the word for whoever does not see it.
pub(super) fn sign(word: Word) -> Markup {
    html! { span class={ "sign s-" (word) } role="img" aria-label=(word) title=(word) { (glyph(word)) } }
}

/// Sign and word.
pub(super) fn badge(word: Word) -> Markup {
    html! { span class={ "badge s-" (word) } { span aria-hidden="true" { (glyph(word)) } " " (word) } }
}

/// The sign as a letter.
pub(super) fn glyph(word: Word) -> &'static str {
    match word {
        "success" | "expanded" => "✓",
        "failure" | "failed" | "error" => "✗",
        "cancelled" => "⊘",
        "skipped" | "ignored" => "»",
        "running" => "●",
        "leasing" => "◐",
        "waiting" => "‖",
        "warning" => "!",
        "notice" => "i",
        _ => "○",
    }
}

/// How grave an annotation is.
pub(super) fn of_level(level: AnnotationLevel) -> Word {
    match level {
        AnnotationLevel::Notice => "notice",
        AnnotationLevel::Warning => "warning",
        AnnotationLevel::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_filter_means_a_state_or_an_end() {
        for word in RUN_WORDS {
            let (state, conclusion) = of_word(word);
            assert!(state.is_some() != conclusion.is_some(), "{word}");
        }
        assert_eq!(of_word("broken"), (None, None));
    }
}
