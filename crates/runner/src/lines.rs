//! Chunks of bytes to lines of text.

use std::borrow::Cow;

use model::limits::LOG_LINE_BYTES;

/// Puts lines together from chunks of a process's output.
///
/// A line ends with LF, CR LF, or CR alone (as on GitHub, a progress bar becomes many lines). Bytes
/// that are no UTF-8 become U+FFFD. Of a line that is longer than [`LOG_LINE_BYTES`] a little more
/// is kept, so that its reader can hide a secret that the cut would part; the rest is dropped.
pub struct LineBuffer {
    /// The line so far.
    partial: Vec<u8>,
    /// Bytes of it that were dropped.
    dropped: u64,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    /// Bytes kept beyond the limit.
    margin: usize,
}

/// One line of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its text, without the line's end.
    pub text: Cow<'a, str>,
    /// Bytes that were dropped behind it.
    pub dropped: u64,
}

impl LineBuffer {
    /// `margin`: bytes to keep of a line beyond the limit (the longest secret).
    pub fn new(margin: usize) -> LineBuffer {
        LineBuffer { partial: Vec::new(), dropped: 0, after_cr: false, margin }
    }

    /// Keeps this much of a line beyond the limit from now on.
    pub fn set_margin(&mut self, margin: usize) {
        self.margin = margin;
    }

    /// Takes a chunk and gives each line that it completes to `take`.
    pub fn push(&mut self, chunk: &[u8], mut take: impl FnMut(Line<'_>)) {
        let mut rest = chunk;
        loop {
            if self.after_cr && !rest.is_empty() {
                self.after_cr = false;
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else { break };
            self.after_cr = rest[end] == b'\r';
            self.complete(&rest[..end], &mut take);
            rest = &rest[end + 1..];
        }
        self.keep(rest);
    }

    /// Gives the last line if it has no end.
    pub fn finish(&mut self, mut take: impl FnMut(Line<'_>)) {
        if !self.partial.is_empty() {
            self.complete(b"", &mut take);
        }
        self.after_cr = false;
    }

    fn complete(&mut self, end: &[u8], take: &mut impl FnMut(Line<'_>)) {
        if self.partial.is_empty() && end.len() <= LOG_LINE_BYTES {
            return take(Line { text: String::from_utf8_lossy(end), dropped: 0 });
        }
        self.keep(end);
        take(Line { text: String::from_utf8_lossy(&self.partial), dropped: self.dropped });
        self.partial.clear();
        self.partial.shrink_to(LOG_LINE_BYTES);
        self.dropped = 0;
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = (LOG_LINE_BYTES + self.margin).saturating_sub(self.partial.len());
        let kept = bytes.len().min(room);
        self.partial.extend_from_slice(&bytes[..kept]);
        self.dropped += (bytes.len() - kept) as u64;
    }
}

/// Cuts `text` to [`LOG_LINE_BYTES`] and says how much is missing.
pub fn cut(text: &mut String, dropped: u64) {
    if text.len() <= LOG_LINE_BYTES && dropped == 0 {
        return;
    }
    let end = text.floor_char_boundary(LOG_LINE_BYTES);
    let missing = (text.len() - end) as u64 + dropped;
    text.truncate(end);
    text.push_str(&format!(" [line cut: {missing} more bytes]"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut buffer = LineBuffer::new(0);
        let mut lines = Vec::new();
        for chunk in chunks {
            buffer.push(chunk, |line| lines.push(line.text.into_owned()));
        }
        buffer.finish(|line| lines.push(line.text.into_owned()));
        lines
    }

    #[test]
    fn lines_end_with_lf_crlf_or_cr() {
        assert_eq!(lines(&[b"a\nb\r\nc\rd\n\n\r\re"]), ["a", "b", "c", "d", "", "", "", "e"]);
    }

    #[test]
    fn chunk_edges_do_not_show() {
        let text = "a\r\nb\n\nlöng\r\n\rz".as_bytes();
        let whole = lines(&[text]);
        for at in 0..=text.len() {
            assert_eq!(lines(&[&text[..at], &text[at..]]), whole, "cut at {at}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(lines(&bytes), whole);
    }

    #[test]
    fn an_empty_output_has_no_line() {
        assert!(lines(&[b""]).is_empty());
        assert_eq!(lines(&[b"\n"]), [""]);
    }

    #[test]
    fn bytes_that_are_no_utf8_are_replaced() {
        assert_eq!(lines(&[b"a\xffb\n"]), ["a\u{fffd}b"]);
    }

    #[test]
    fn an_endless_line_keeps_memory_bounded() {
        let mut buffer = LineBuffer::new(10);
        let chunk = vec![b'x'; 300_000];
        for _ in 0..10 {
            buffer.push(&chunk, |_| panic!("the line has not ended"));
        }
        let mut seen = None;
        buffer.push(b"\n", |line| seen = Some((line.text.len(), line.dropped)));
        assert_eq!(seen, Some((LOG_LINE_BYTES + 10, 3_000_000 - LOG_LINE_BYTES as u64 - 10)));
        buffer.push(b"next\n", |line| assert_eq!(line, Line { text: "next".into(), dropped: 0 }));
    }

    #[test]
    fn a_cut_line_says_what_is_missing() {
        let mut text = "é".repeat(LOG_LINE_BYTES / 2 + 1);
        cut(&mut text, 3);
        assert!(text.ends_with("é [line cut: 5 more bytes]"));
    }
}
