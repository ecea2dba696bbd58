//! Output of commands as text: chunks come cut anywhere, also inside of a character.

/// Puts characters together that were cut at the edge of a chunk.
#[derive(Default)]
pub(crate) struct Characters {
    begun: Vec<u8>,
}

/// Longest beginning of a character that can still become one.
const BEGUN_BYTES: usize = 3;

impl Characters {
    /// The bytes that are whole, a character that was begun before in front; what is begun waits.
    pub(crate) fn take(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.begun);
        bytes.extend_from_slice(chunk);
        let begun = begun_at_end(&bytes);
        self.begun = bytes.split_off(bytes.len() - begun);
        bytes
    }

    /// What was begun and never ended.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.begun)
    }
}

/// Bytes at the end that may be the beginning of a character.
fn begun_at_end(bytes: &[u8]) -> usize {
    let last = bytes.len().min(BEGUN_BYTES);
    for length in 1..=last {
        let tail = &bytes[bytes.len() - length..];
        // No error length: the input ended where a character was still possible.
        if tail[0] >= 0xC2 && std::str::from_utf8(tail).is_err_and(|error| error.error_len().is_none()) {
            return length;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_is_cut_anywhere_arrives_whole() {
        let text = "aä€😀z";
        for cut in 0..=text.len() {
            let mut characters = Characters::default();
            let (left, right) = text.as_bytes().split_at(cut);
            let (left, right) = (characters.take(left), characters.take(right));
            let (left, right) = (String::from_utf8(left).unwrap(), String::from_utf8(right).unwrap());
            assert_eq!(left + &right, text, "cut at {cut}");
            assert!(characters.rest().is_empty());
        }
    }

    #[test]
    fn bytes_that_are_no_text_arrive_as_they_are() {
        let mut characters = Characters::default();
        let mut all = characters.take(&[0xff, 0xfe, 0x80, 0xe2]);
        all.extend(characters.take(&[0x82]));
        all.extend(characters.rest());
        assert_eq!(all, [0xff, 0xfe, 0x80, 0xe2, 0x82]);
    }
}
