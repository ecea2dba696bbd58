//! Texts that may be written down: secrets in them are named, not told.

use model::Secrets;
use serde::{Deserialize, Serialize};

use super::vault::Vault;
use crate::mask::Masker;

/// A text in which each secret is only named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sealed(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Piece {
    Text(String),
    /// The name of a secret.
    Secret(String),
    /// A position in the vault: it holds a secret that has no name, such as a value that a step has masked, or an
    /// encoded form.
    Vault(usize),
}

/// Why a text can't be had again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    /// A secret was not given.
    #[error("The job had the secret {0}; give it again with --secret {0}.")]
    Secret(String),
    /// The vault is not that of this text.
    #[error("What is kept of the job does not belong together; run the workflow again.")]
    Vault,
}

/// Takes secrets out of texts.
pub(super) struct Sealer<'a> {
    /// The longest first: a secret may be part of another.
    named: Vec<(&'a str, &'a str)>,
    masker: &'a Masker,
    pub(super) vault: Vault,
}

impl<'a> Sealer<'a> {
    pub(super) fn new(secrets: &'a Secrets, masker: &'a Masker) -> Sealer<'a> {
        let mut named: Vec<(&str, &str)> = secrets
            .iter()
            .map(|(name, secret)| (name.as_str(), secret.0.as_str()))
            .filter(|(_, value)| !value.trim().is_empty())
            .collect();
        named.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        Sealer { named, masker, vault: Vault::default() }
    }

    /// The text, with names in place of secrets; what is secret and has no name goes into the vault.
    pub(super) fn seal(&mut self, text: &str) -> Sealed {
        let mut pieces = vec![Piece::Text(text.to_owned())];
        for (name, value) in &self.named {
            pieces = pieces.into_iter().flat_map(|piece| split(piece, name, value)).collect();
        }
        let vault = &mut self.vault;
        let hide = |piece| match piece {
            Piece::Text(text) if self.masker.contains_secret(&text) => Piece::Vault(vault.put(text)),
            piece => piece,
        };
        Sealed(pieces.into_iter().map(hide).collect())
    }
}

impl Sealed {
    /// The text with the secrets in their places.
    ///
    /// # Errors
    /// A secret is not among them, or the vault is another one.
    pub(crate) fn open(&self, secrets: &Secrets, vault: &Vault) -> Result<String, OpenError> {
        let mut text = String::new();
        for piece in &self.0 {
            text.push_str(match piece {
                Piece::Text(piece) => piece,
                Piece::Secret(name) => &secrets.get(name).ok_or_else(|| OpenError::Secret(name.clone()))?.0,
                Piece::Vault(position) => vault.get(*position).ok_or(OpenError::Vault)?,
            });
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
        let masker = masker(&known);
        let mut sealer = Sealer::new(&known, &masker);
        let sealed = sealer.seal(text);
        assert_eq!(sealer.vault, Vault::default(), "what has a name is not in the vault");
        let written = serde_json::to_string(&sealed).unwrap();
        assert!(!written.contains("hunter2"), "{written}");
        let read: Sealed = serde_json::from_str(&written).unwrap();
        let open = |secrets: &Secrets| read.open(secrets, &Vault::default());
        assert_eq!(open(&known).unwrap(), text);
        assert_eq!(open(&secrets(&[("LONG", "x"), ("SHORT", "y")])).unwrap(), "a x b:y");
        assert_eq!(open(&secrets(&[("LONG", "x")])), Err(OpenError::Secret("SHORT".to_owned())));
    }

    #[test]
    fn a_secret_without_a_name_or_in_another_form_is_in_the_vault_alone() {
        let known = secrets(&[("TOKEN", "correct horse")]);
        let masker = masker(&known);
        masker.add("masked by a step");
        let mut sealer = Sealer::new(&known, &masker);
        for text in ["x masked by a step", "correct horse masked by a step", "Y29ycmVjdCBob3JzZQ==", ""] {
            let sealed = sealer.seal(text);
            let written = serde_json::to_string(&sealed).unwrap();
            assert!(!written.contains("masked") && !written.contains("Y29y"), "{written}");
            assert_eq!(sealed.open(&known, &sealer.vault).unwrap(), text);
            assert_eq!(sealed.open(&known, &Vault::default()).is_ok(), text.is_empty());
        }
    }
}
