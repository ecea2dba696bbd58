//! Texts that may be written down: secrets in them are named, not told.

use model::Secrets;
use serde::{Deserialize, Serialize};

use crate::mask::Masker;

/// A text in which each secret is only named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sealed(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Piece {
    Text(String),
    /// The name of a secret.
    Secret(String),
}

impl Sealed {
    /// Takes the secrets out of a text. `None`: it holds one that has no name, such as a value that a
    /// step has masked, or an encoded form.
    pub(crate) fn seal(text: &str, secrets: &Secrets, masker: &Masker) -> Option<Sealed> {
        let mut named: Vec<(&str, &str)> = secrets
            .iter()
            .map(|(name, secret)| (name.as_str(), secret.0.as_str()))
            .filter(|(_, value)| !value.trim().is_empty())
            .collect();
        // A secret may be part of another: the longer one goes first.
        named.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        let mut pieces = vec![Piece::Text(text.to_owned())];
        for (name, value) in named {
            pieces = pieces.into_iter().flat_map(|piece| split(piece, name, value)).collect();
        }
        let hidden = |piece: &Piece| matches!(piece, Piece::Text(text) if masker.contains_secret(text));
        (!pieces.iter().any(hidden)).then_some(Sealed(pieces))
    }

    /// The text with the secrets in their places.
    ///
    /// # Errors
    /// The name of a secret that is not among them.
    pub(crate) fn open(&self, secrets: &Secrets) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Secret(name) => text.push_str(&secrets.get(name).ok_or_else(|| name.clone())?.0),
            }
        }
        Ok(text)
    }
}

fn split(piece: Piece, name: &str, value: &str) -> Vec<Piece> {
    let Piece::Text(text) = piece else { return vec![piece] };
    let mut pieces = Vec::new();
    for (index, part) in text.split(value).enumerate() {
        if index > 0 {
            pieces.push(Piece::Secret(name.to_owned()));
        }
        if !part.is_empty() {
            pieces.push(Piece::Text(part.to_owned()));
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use model::Secret;

    use super::*;

    fn secrets(pairs: &[(&str, &str)]) -> Secrets {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), Secret((*value).to_owned()))).collect()
    }

    fn masker(secrets: &Secrets) -> Masker {
        let masker = Masker::new();
        secrets.values().for_each(|secret| masker.add(&secret.0));
        masker
    }

    #[test]
    fn what_is_written_holds_no_secret_and_opens_with_the_secrets_given_again() {
        let known = secrets(&[("LONG", "hunter2hunter2"), ("SHORT", "hunter2"), ("EMPTY", "")]);
        let text = "a hunter2hunter2 b:hunter2";
        let sealed = Sealed::seal(text, &known, &masker(&known)).unwrap();
        let written = serde_json::to_string(&sealed).unwrap();
        assert!(!written.contains("hunter2"), "{written}");
        let read: Sealed = serde_json::from_str(&written).unwrap();
        assert_eq!(read.open(&known).unwrap(), text);
        let others = secrets(&[("LONG", "x"), ("SHORT", "y")]);
        assert_eq!(read.open(&others).unwrap(), "a x b:y");
        assert_eq!(read.open(&secrets(&[("LONG", "x")])), Err("SHORT".to_owned()));
    }

    #[test]
    fn a_secret_without_a_name_or_in_another_form_is_not_written() {
        let known = secrets(&[("TOKEN", "correct horse")]);
        let masker = masker(&known);
        masker.add("masked by a step");
        assert_eq!(Sealed::seal("x masked by a step", &known, &masker), None);
        assert_eq!(Sealed::seal("Y29ycmVjdCBob3JzZQ==", &known, &masker), None);
        assert!(Sealed::seal("", &known, &masker).is_some());
    }
}
