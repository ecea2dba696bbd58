//! Secrets never leave: every text is masked before it becomes an event.
//!
//! A [`Masker`] knows the secrets of one job and hides each wherever it turns up, in the
//! forms in which programs print it too (see `forms`). Overlapping finds are hidden as
//! one. A secret that is added while the job runs counts from the next text on.
//!
//! Text is masked line by line; [`crate::lines`] puts lines together from chunks, so a secret
//! that is cut by a chunk's edge is whole again when it comes here.

mod forms;

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// A tier is put together with those before it that have at most this many times its forms: a job that adds
/// thousands of masks neither rebuilds ever larger automata for each, nor searches thousands of small ones.
const TIER_GROWTH: usize = 2;

/// Total length of the forms up to which a full DFA is built: the fastest search, in a few MiB of memory.
const DFA_BYTES: usize = 16 * 1024;

/// Bytes of text that pay for building a full DFA: a job that says little does not wait for one.
const DFA_PAYS_BYTES: usize = 256 * 1024;

/// Hides the secrets of one job.
#[derive(Default)]
pub struct Masker {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// What was added, in that order, as it was given.
    added: Vec<String>,
    known: HashSet<String>,
    longest: usize,
    /// The largest first, each much larger than the next.
    tiers: Vec<Tier>,
    /// Bytes searched since a secret was added.
    searched: AtomicUsize,
}

/// Forms that were added at about the same time, with two searches for them.
struct Tier {
    forms: Vec<String>,
    /// Finds quickly whether there is anything to hide, and where first.
    first: AhoCorasick,
    /// Finds every form, overlapping ones too.
    every: AhoCorasick,
}

impl Masker {
    /// A masker that knows no secret.
    pub fn new() -> Masker {
        Masker::default()
    }

    /// Hides `secret`, each line of it, and their encoded forms from now on. Blank text is no secret.
    pub fn add(&self, secret: &str) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let forms = forms::of_secret(secret).into_iter();
        let new: Vec<String> = forms.filter(|form| state.known.insert(form.clone())).collect();
        if !new.is_empty() {
            state.added.push(secret.to_owned());
        }
        state.longest = new.iter().map(String::len).fold(state.longest, usize::max);
        state.add(new);
    }

    /// `text` with each secret replaced by [`MASK`].
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let before = state.searched.fetch_add(text.len(), Ordering::Relaxed);
        if before < DFA_PAYS_BYTES && before + text.len() >= DFA_PAYS_BYTES {
            drop(state);
            self.state.write().unwrap_or_else(PoisonError::into_inner).hasten();
            return self.mask(text);
        }
        if state.tiers.iter().all(|tier| tier.first.find(text).is_none()) {
            return Cow::Borrowed(text);
        }
        let mut found: Vec<(usize, usize)> = Vec::new();
        for tier in &state.tiers {
            found.extend(tier.every.find_overlapping_iter(text).map(|m| (m.start(), m.end())));
        }
        Cow::Owned(replace(text, found))
    }

    /// Whether a secret is in `text`.
    pub fn contains_secret(&self, text: &str) -> bool {
        matches!(self.mask(text), Cow::Owned(_))
    }

    /// How many secrets were added.
    pub(crate) fn len(&self) -> usize {
        self.state.read().unwrap_or_else(PoisonError::into_inner).added.len()
    }

    /// Secrets that were added after the first `count`.
    pub(crate) fn added_after(&self, count: usize) -> Vec<String> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.added.iter().skip(count).cloned().collect()
    }

    /// Bytes of the longest form: what must be looked at behind a cut to find a secret that it cuts.
    pub fn longest(&self) -> usize {
        self.state.read().unwrap_or_else(PoisonError::into_inner).longest
    }
}

impl State {
    fn add(&mut self, new: Vec<String>) {
        if new.is_empty() {
            return;
        }
        self.searched = AtomicUsize::new(0);
        let mut forms = new;
        while let Some(tier) = self.tiers.pop_if(|tier| tier.forms.len() <= forms.len() * TIER_GROWTH) {
            forms.extend(tier.forms);
        }
        self.tiers.push(Tier::new(forms, AhoCorasickKind::NoncontiguousNFA));
    }

    /// Makes one tier of all, with the fastest search unless it is too large for that.
    fn hasten(&mut self) {
        let small = self.known.iter().map(String::len).sum::<usize>() <= DFA_BYTES;
        if self.tiers.is_empty() || (self.tiers.len() == 1 && !small) {
            return;
        }
        let forms: Vec<String> = self.tiers.drain(..).flat_map(|tier| tier.forms).collect();
        let kind = if small { AhoCorasickKind::DFA } else { AhoCorasickKind::NoncontiguousNFA };
        self.tiers.push(Tier::new(forms, kind));
    }
}

impl Tier {
    /// `kind` is that of the search that usually finds nothing.
    fn new(forms: Vec<String>, kind: AhoCorasickKind) -> Tier {
        Tier {
            first: build(&forms, MatchKind::LeftmostFirst, kind),
            every: build(&forms, MatchKind::Standard, AhoCorasickKind::NoncontiguousNFA),
            forms,
        }
    }
}

fn build(forms: &[String], kind: MatchKind, implementation: AhoCorasickKind) -> AhoCorasick {
    AhoCorasick::builder()
        .match_kind(kind)
        .kind(Some(implementation))
        .build(forms)
        .expect("fewer than 2^31 states: a job's secrets are bounded by the size of its workflow and log")
}

/// Replaces the found ranges, those that overlap or touch as one.
fn replace(text: &str, mut found: Vec<(usize, usize)>) -> String {
    found.sort_unstable();
    let mut masked = String::with_capacity(text.len());
    let mut copied = 0;
    let mut ranges = found.into_iter().peekable();
    while let Some((start, mut end)) = ranges.next() {
        while let Some((_, next_end)) = ranges.next_if(|(next_start, _)| *next_start <= end) {
            end = end.max(next_end);
        }
        masked.push_str(&text[copied..start]);
        masked.push_str(MASK);
        copied = end;
    }
    masked.push_str(&text[copied..]);
    masked
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn masker(secrets: &[&str]) -> Masker {
        let masker = Masker::new();
        for secret in secrets {
            masker.add(secret);
        }
        masker
    }

    #[test]
    fn a_secret_is_hidden_wherever_it_stands() {
        let masker = masker(&["s3cr3t-value"]);
        assert_eq!(masker.mask("a s3cr3t-value, s3cr3t-value"), "a ***, ***");
        assert_eq!(masker.mask("nothing here"), "nothing here");
    }

    #[test]
    fn overlapping_secrets_are_hidden_as_one() {
        assert_eq!(masker(&["abcdef", "defghi"]).mask("xabcdefghiy"), "x***y");
    }

    #[test]
    fn a_longer_secret_with_a_shorter_one_in_it_is_hidden_whole() {
        assert_eq!(masker(&["pass", "mypassword"]).mask("mypassword pass"), "*** ***");
    }

    #[test]
    fn base64_is_hidden_at_every_alignment_and_whatever_follows() {
        let masker = masker(&["correct horse"]);
        for before in ["", "u", "us", "use", "user"] {
            for after in ["", "!", "!!", "!!!"] {
                let text = STANDARD.encode(format!("{before}correct horse{after}"));
                let masked = masker.mask(&text);
                assert!(masked.contains(MASK), "{text}");
                let left = masked.replace(MASK, "");
                assert!(left.trim_end_matches('=').len() <= 12, "{before}|{after}: {masked}");
            }
        }
    }

    #[test]
    fn many_secrets_are_all_hidden_and_searched_in_few_tiers() {
        let masker = Masker::new();
        for number in 0..500 {
            masker.add(&format!("secret-{number}-value"));
        }
        assert!((0..500).all(|number| masker.mask(&format!("secret-{number}-value")) == MASK));
        assert!(masker.state.read().unwrap().tiers.len() < 16);
    }

    #[test]
    fn url_json_and_shell_forms_are_hidden() {
        let masker = masker(&["p@ss w\"or'd/\\1"]);
        for form in [
            "p%40ss%20w%22or%27d%2F%5C1",
            "p%40ss+w%22or%27d%2f%5c1",
            "p%40ss%20w%22or%27d/%5C1",
            r#"p@ss w\"or'd/\\1"#,
            r#"p@ss w"or'\''d/\1"#,
            r#"p@ss\ w\"or\'d/\\1"#,
            "p@ss w&quot;or&apos;d/\\1",
        ] {
            assert_eq!(masker.mask(form), MASK, "{form}");
        }
    }

    #[test]
    fn each_line_of_a_secret_is_hidden_but_braces_are_not() {
        let masker = masker(&["{\n  \"key\": \"tiger\"\r\n}\n"]);
        assert_eq!(masker.mask("  \"key\": \"tiger\""), "  ***");
        assert_eq!(masker.mask("fn main() {}"), "fn main() {}");
    }

    #[test]
    fn a_blank_secret_hides_nothing() {
        let masker = masker(&["", "   ", "\n"]);
        assert_eq!(masker.mask("a b  c   d"), "a b  c   d");
    }

    #[test]
    fn a_secret_of_one_character_is_hidden_as_github_does() {
        assert_eq!(masker(&["7"]).mask("a7b"), "a***b");
    }

    #[test]
    fn a_mask_counts_as_soon_as_it_is_added() {
        let masker = masker(&["first-secret"]);
        assert_eq!(masker.mask("second-secret"), "second-secret");
        masker.add("second-secret");
        assert_eq!(masker.mask("first-secret second-secret"), "*** ***");
    }

    #[test]
    fn thousands_of_masks_are_all_hidden() {
        let masker = Masker::new();
        for n in 0..500 {
            masker.add(&format!("token-{n:05}"));
        }
        assert_eq!(masker.mask("token-00000 token-00499 token-00500"), "*** *** token-00500");
    }

    #[test]
    fn text_beside_a_secret_in_another_script_stays_whole() {
        assert_eq!(masker(&["geheim"]).mask("größe geheim 日本"), "größe *** 日本");
    }
}
