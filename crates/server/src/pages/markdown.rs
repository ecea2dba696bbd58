//! Summaries, which jobs write as Markdown: hostile, and shown as such.
//!
//! Raw HTML is shown as the text that it is; links lead to `http` and `https` only, tell their target nothing of where
//! they stand, and look like what they are; images are links, so that a page asks nobody but this server for anything.

use maud::{Escaper, Markup, PreEscaped};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::fmt::Write;

/// Bytes of a summary that are rendered: GitHub's own bound of a step's summary
/// (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits>).
const SUMMARY_BYTES: usize = 1024 * 1024;

/// Elements within one another that are rendered; deeper ones are left out and their text stays. Browsers have bounds
/// of their own, and no person reads deeper.
const DEPTH: usize = 32;

/// Markdown as safe markup.
#[must_use]
pub(super) fn render(markdown: &str) -> Markup {
    let mut end = markdown.len().min(SUMMARY_BYTES);
    while !markdown.is_char_boundary(end) {
        end -= 1;
    }
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut page = Page::default();
    for event in Parser::new_ext(&markdown[..end], options) {
        page.take(event);
    }
    if end < markdown.len() {
        page.markup.push_str("<p>…</p>");
    }
    PreEscaped(page.markup)
}

#[derive(Default)]
struct Page {
    markup: String,
    /// Closing tags of what is open; empty ones for what was left out.
    open: Vec<&'static str>,
    in_table_head: bool,
}

impl Page {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.text(&text),
            Event::InlineMath(text) | Event::DisplayMath(text) => self.text(&text),
            Event::Code(text) => {
                self.markup.push_str("<code>");
                self.text(&text);
                self.markup.push_str("</code>");
            }
            Event::SoftBreak => self.markup.push('\n'),
            Event::HardBreak => self.markup.push_str("<br>"),
            Event::Rule => self.markup.push_str("<hr>"),
            Event::TaskListMarker(is_done) => self.markup.push_str(if is_done { "☑ " } else { "☐ " }),
            Event::FootnoteReference(_) => {}
        }
    }

    fn text(&mut self, text: &str) {
        // Writing to a string does not fail.
        let _ = Escaper::new(&mut self.markup).write_str(text);
    }

    fn start(&mut self, tag: Tag<'_>) {
        if self.open.len() >= DEPTH {
            self.open.push("");
            return;
        }
        let (begin, end) = match tag {
            Tag::Paragraph => ("<p>", "</p>"),
            // A page has one heading of the first rank, and it is not a job's.
            Tag::Heading { level, .. } => match level as usize {
                1 => ("<h3>", "</h3>"),
                2 => ("<h4>", "</h4>"),
                _ => ("<h5>", "</h5>"),
            },
            Tag::BlockQuote(_) => ("<blockquote>", "</blockquote>"),
            Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented) => {
                ("<pre><code>", "</code></pre>")
            }
            Tag::List(Some(_)) => ("<ol>", "</ol>"),
            Tag::List(None) => ("<ul>", "</ul>"),
            Tag::Item => ("<li>", "</li>"),
            Tag::Table(_) => ("<div class=\"wide\"><table>", "</table></div>"),
            Tag::TableHead => {
                self.in_table_head = true;
                ("<thead><tr>", "</tr></thead>")
            }
            Tag::TableRow => ("<tr>", "</tr>"),
            Tag::TableCell if self.in_table_head => ("<th>", "</th>"),
            Tag::TableCell => ("<td>", "</td>"),
            Tag::Emphasis => ("<em>", "</em>"),
            Tag::Strong => ("<strong>", "</strong>"),
            Tag::Strikethrough => ("<del>", "</del>"),
            Tag::Link { dest_url, .. } => return self.link(&dest_url, ""),
            Tag::Image { dest_url, .. } => return self.link(&dest_url, "🖼 "),
            _ => ("", ""),
        };
        self.markup.push_str(begin);
        self.open.push(end);
    }

    fn link(&mut self, target: &str, sign: &str) {
        let is_web = ["http://", "https://"]
            .iter()
            .any(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
        // Links do not nest: an image in a link is text of it.
        if !is_web || self.open.contains(&"</a>") {
            self.markup.push_str(sign);
            self.open.push("");
            return;
        }
        self.markup.push_str("<a rel=\"noopener noreferrer nofollow\" href=\"");
        self.text(target);
        self.markup.push_str("\">");
        self.markup.push_str(sign);
        self.open.push("</a>");
    }

    fn end(&mut self, tag: TagEnd) {
        if tag == TagEnd::TableHead {
            self.in_table_head = false;
        }
        self.markup.push_str(self.open.pop().unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::render;

    fn read(markdown: &str) -> String {
        render(markdown).into_string()
    }

    #[test]
    fn headings_lists_tables_and_code_are_shown_as_such() {
        let page =
            read("# Tests\n\n- **3** passed\n- [x] done\n\n|a|b|\n|-|-|\n|1|`2`|\n\n```\nx < y\n```\n");
        for part in [
            "<h3>Tests</h3>",
            "<li><strong>3</strong> passed</li>",
            "<th>a</th>",
            "<td><code>2</code></td>",
            "<pre><code>x &lt; y\n</code></pre>",
            "☑ done",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
    }

    #[test]
    fn html_of_a_job_is_shown_as_text() {
        let page = read("<script>alert(1)</script>\n\n<img src=x onerror=alert(1)> a <b onclick=x>b</b>");
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<b "), "{page}");
        assert!(page.contains("&lt;script&gt;"), "{page}");
    }

    #[test]
    fn links_lead_to_the_web_only() {
        let page = read(
            "[a](https://example.org/?a=1&b=\"2) [b](javascript:alert(1)) [c](data:text/html,x) [d](/settings) \
             [e](//evil.example) <javascript:alert(2)> [f](HTTPS://example.org)",
        );
        assert_eq!(page.matches("<a ").count(), 2, "{page}");
        assert!(page.contains("rel=\"noopener noreferrer nofollow\""), "{page}");
        assert!(!page.contains("href=\"javascript") && !page.contains("href=\"/"), "{page}");
    }

    #[test]
    fn an_image_is_not_loaded_from_elsewhere() {
        let page = read(
            "![coverage](https://tracker.example/x.png) [![ci](https://x.example/b.svg)](https://y.example)",
        );
        assert!(!page.contains("<img"), "{page}");
        assert!(page.contains("🖼 coverage</a>") && page.contains("https://y.example"), "{page}");
    }

    #[test]
    fn what_is_nested_beyond_all_reason_keeps_its_text() {
        let page = read(&format!("{}deep", "> ".repeat(500)));
        assert!(page.matches("<blockquote>").count() <= super::DEPTH, "{page}");
        assert!(page.contains("deep"));
        assert_eq!(page.matches("<blockquote>").count(), page.matches("</blockquote>").count());
    }
}
