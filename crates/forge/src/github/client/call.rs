//! One call of the API, and its answer.

use serde_json::Value as Json;

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// `GET`, `POST`, `PATCH`, `PUT`, or `DELETE`.
    pub method: Method,
    /// Path below the API's address, with a query (`/repos/octo/hello/issues?page=2`).
    pub path: String,
    /// What is sent.
    pub body: Option<Json>,
    /// What it does, for errors: `comment on octo/hello#7`.
    pub what: String,
    /// Whether making it twice does what making it once does.
    pub repeatable: bool,
}

/// What a call does to its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes.
    Post,
    /// Changes.
    Patch,
    /// Replaces.
    Put,
    /// Removes.
    Delete,
}

impl Call {
    /// Reads something.
    pub fn get(path: impl Into<String>, what: impl Into<String>) -> Call {
        Call { method: Method::Get, path: path.into(), body: None, what: what.into(), repeatable: true }
    }

    /// Makes something, which a second call would make once more.
    pub fn post(path: impl Into<String>, what: impl Into<String>, body: Json) -> Call {
        Call {
            method: Method::Post,
            path: path.into(),
            body: Some(body),
            what: what.into(),
            repeatable: false,
        }
    }

    /// Changes something.
    pub fn patch(path: impl Into<String>, what: impl Into<String>, body: Json) -> Call {
        Call {
            method: Method::Patch,
            path: path.into(),
            body: Some(body),
            what: what.into(),
            repeatable: true,
        }
    }

    /// Removes something.
    pub fn delete(path: impl Into<String>, what: impl Into<String>) -> Call {
        Call { method: Method::Delete, path: path.into(), body: None, what: what.into(), repeatable: true }
    }

    /// Says that a second call does no harm.
    #[must_use]
    pub fn repeatable(mut self) -> Call {
        self.repeatable = true;
        self
    }
}

/// What the server answered.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body; null where it has none.
    pub body: Json,
    /// Path of the next page of a list.
    pub next: Option<String>,
}

/// A part of a path, with everything escaped that could end it.
pub fn segment(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => escaped.push(char::from(byte)),
            // A lone dot would be a path of its own.
            b'.' if text.bytes().any(|byte| byte != b'.') => escaped.push('.'),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// Path of the next page, of the header `link`. One that leads to another server is not followed.
pub(super) fn next_page(link: &str, base: &str) -> Option<String> {
    let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    let url = next.split_once('<')?.1.split_once('>')?.0;
    url.strip_prefix(base).filter(|path| path.starts_with('/')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_path_stays_one() {
        assert_eq!(segment("dependabot[bot]"), "dependabot%5Bbot%5D");
        assert_eq!(segment("../a?b#c"), "..%2Fa%3Fb%23c");
        assert_eq!([segment(".."), segment("a.b")], ["%2E%2E", "a.b"]);
    }

    #[test]
    fn the_next_page_is_on_the_same_server() {
        let base = "https://api.github.com";
        let link = r#"<https://api.github.com/x?cursor=1>; rel="prev", <https://api.github.com/x?cursor=2>; rel="next""#;
        assert_eq!(next_page(link, base).as_deref(), Some("/x?cursor=2"));
        assert_eq!(next_page(r#"<https://evil.example/x>; rel="next""#, base), None);
        assert_eq!(next_page(r#"<https://api.github.com.evil.example/x>; rel="next""#, base), None);
        assert_eq!(next_page("nonsense", base), None);
    }
}
