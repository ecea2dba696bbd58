//! From a corpus to broken input.

/// Longest input: over the limits of the readers by far, and still quick to make.
const INPUT_BYTES: usize = 64 * 1024;

/// Changes to one input, one after the other.
const CHANGES: u64 = 6;

/// Pieces that mean something to one of the readers.
const WORDS: &[&str] = &[
    "${{",
    "}}",
    "&a ",
    "*a",
    "<<: ",
    "? ",
    "- ",
    ": ",
    "!!str ",
    "|+\n",
    ">-\n",
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    "#",
    "---\n",
    "%YAML 1.2\n",
    "\t",
    "\r\n",
    "\u{feff}",
    "\u{0}",
    "ä",
    "🔥",
    "\u{202e}",
    "NaN",
    "Infinity",
    "0x",
    "-0",
    "1e999",
    "fromJSON(",
    "toJSON(",
    "format('{0}',",
    "hashFiles(",
    "github.",
    ".*",
    "&&",
    "||",
    "!",
    "<<EOF\n",
    "EOF\n",
    "=",
    "::error file=",
    "::",
    "##[",
    "%0A",
    "%25",
    "\\u0000",
    "null",
    "true",
    "on:",
    "jobs:",
    "needs:",
    "matrix:",
    "include:",
    "steps:",
    "uses:",
    "with:",
    "if:",
    "**",
    "?",
    "+",
    "(?",
    "\\",
];

/// A small generator of numbers (xorshift64*): good enough to choose, the same everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`; 0 where there is none.
    fn below(&mut self, bound: usize) -> usize {
        let number = usize::try_from(self.next() >> 33).unwrap_or(0);
        number.checked_rem(bound).unwrap_or(0)
    }

    fn choose<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> Option<&'a T> {
        from.get(self.below(from.len())).copied()
    }
}

/// An input: one of the corpus, changed in a few places.
pub(crate) fn input(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = corpus.get(random.below(corpus.len())).cloned().unwrap_or_default();
    for _ in 0..=random.next() % CHANGES {
        change(&mut input, corpus, random);
        input.truncate(INPUT_BYTES);
    }
    input
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let end = (at + random.below(64)).min(input.len());
    match random.next() % 8 {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << (random.next() % 8);
            }
        }
        1 => drop(input.drain(at..end)),
        2 | 3 => {
            let word = random.choose(WORDS).unwrap_or_default();
            input.splice(at..at, word.bytes());
        }
        4 => {
            let piece = input[at..end].to_vec();
            let often = 1 << (random.next() % 10);
            input.splice(at..at, piece.repeat(often));
        }
        5 => {
            let other = corpus.get(random.below(corpus.len())).map_or(&[][..], Vec::as_slice);
            let from = random.below(other.len() + 1);
            let to = (from + random.below(512)).min(other.len());
            input.splice(at..at, other[from..to].iter().copied());
        }
        6 => input.truncate(at),
        _ => {
            let word = random.choose(WORDS).unwrap_or_default();
            let often = 1 << (random.next() % 13);
            input.splice(at..at, word.repeat(often).bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{INPUT_BYTES, Random, input};

    #[test]
    fn the_same_seed_gives_the_same_inputs_and_none_is_too_long() {
        let corpus = vec![b"on: push\njobs: {}\n".to_vec(), "ä".repeat(40_000).into_bytes()];
        let made = |seed| {
            let mut random = Random::new(seed);
            (0..500).map(|_| input(&corpus, &mut random)).collect::<Vec<_>>()
        };
        let first = made(7);
        assert_eq!(first, made(7));
        assert_ne!(first, made(9));
        assert!(first.iter().all(|input| input.len() <= INPUT_BYTES));
    }

    #[test]
    fn an_empty_corpus_still_gives_inputs() {
        let mut random = Random::new(1);
        assert!((0..100).any(|_| !input(&[], &mut random).is_empty()));
    }
}
