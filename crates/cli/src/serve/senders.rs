//! Who may send webhooks, and how many: `serve.webhooks` of the configuration.

use anyhow::{Result, anyhow, bail};
use machine::network::Cidr;
use serde::Deserialize;
use server::address::Proxies;
use server::rate::Rate;
use server::webhook::Allowed;

/// Stands for all addresses that GitHub sends webhooks from.
const GITHUB: &str = "github";

/// Who may send webhooks, in `hearth.yaml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct WebhooksConfig {
    /// Addresses that may send webhooks, such as `192.30.252.0/22`, or `github`; everybody where absent.
    allow: Option<Vec<String>>,
    /// How many webhooks one address may send; as many as it likes where absent.
    per_minute: Option<u32>,
    /// Proxies whose word on who asks is taken; those on this host where absent.
    trusted_proxies: Option<Vec<String>>,
}

/// The same, read.
#[derive(Debug)]
pub(crate) struct Senders {
    pub(crate) allowed: Allowed,
    /// Besides those that GitHub names: these, once it has named them.
    pub(crate) beside_github: Option<Vec<Cidr>>,
    pub(crate) rate: Option<Rate>,
    pub(crate) proxies: Proxies,
}

impl WebhooksConfig {
    /// Reads it.
    pub(crate) fn senders(&self) -> Result<Senders> {
        let (allowed, beside_github) = match &self.allow {
            Some(allow) if allow.is_empty() => {
                bail!("serve.webhooks.allow of the configuration is empty: nobody could send webhooks")
            }
            Some(allow) => {
                let (github, own): (Vec<_>, Vec<_>) = allow.iter().cloned().partition(|name| name == GITHUB);
                let own = ranges("allow", &own)?;
                (Allowed::only(own.clone()), (!github.is_empty()).then_some(own))
            }
            None => (Allowed::default(), None),
        };
        if self.per_minute == Some(0) {
            bail!("serve.webhooks.per-minute of the configuration is 0: nobody could send webhooks");
        }
        let proxies = match &self.trusted_proxies {
            Some(proxies) => Proxies::new(ranges("trusted-proxies", proxies)?),
            None => Proxies::default(),
        };
        Ok(Senders {
            allowed,
            beside_github,
            rate: self.per_minute.map(|per_minute| Rate { per_minute }),
            proxies,
        })
    }
}

fn ranges(key: &str, texts: &[String]) -> Result<Vec<Cidr>> {
    let range = |text: &String| {
        text.parse().map_err(|()| {
            anyhow!("serve.webhooks.{key} of the configuration has {text:?}, which is no address or range")
        })
    };
    texts.iter().map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn senders(file: &str) -> Result<Senders> {
        serde_saphyr::from_str::<WebhooksConfig>(file)?.senders()
    }

    #[test]
    fn addresses_proxies_and_a_rate_are_read() {
        let all = senders("{allow: [192.30.252.0/22, '2001:db8::1'], per-minute: 60, trusted-proxies: []}")
            .unwrap();
        assert_eq!((all.rate, all.proxies), (Some(Rate { per_minute: 60 }), Proxies::new(Vec::new())));
        assert!(all.beside_github.is_none());
        let github = senders("{allow: [github, 10.0.0.0/8]}").unwrap();
        assert_eq!(github.beside_github.unwrap().len(), 1);
        assert!(!github.allowed.has("192.30.252.1".parse().unwrap()), "GitHub has not named it yet");
        let usual = senders("{}").unwrap();
        assert_eq!((usual.rate, usual.proxies), (None, Proxies::default()));
    }

    #[test]
    fn what_lets_nobody_in_or_is_no_address_is_refused() {
        for (file, words) in [
            ("{allow: []}", "nobody could send"),
            ("{per-minute: 0}", "nobody could send"),
            ("{allow: [github-hooks]}", "no address or range"),
            ("{trusted-proxies: [10.0.0.0/33]}", "trusted-proxies of the configuration"),
            ("{deny: []}", "deny"),
        ] {
            let error = format!("{:#}", senders(file).unwrap_err());
            assert!(error.contains(words), "{file}: {error}");
        }
    }
}
