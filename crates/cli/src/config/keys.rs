//! Every key of `hearth.yaml`: what it is called, what it is where nobody says, and the variable that goes before it.
//!
//! A test holds the table against what is read, and the documentation against the table.

/// A key that has a value of its own. What is below a list is part of that list's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Its names from the outermost one on, with dots between.
    pub(crate) path: &'static str,
    /// What it is where nobody says, in words; empty for nothing.
    pub(crate) default: &'static str,
    /// How its value is written.
    pub(crate) form: Form,
    /// What an elder server called it, for `hearth serve`; the key's own variable goes before it.
    pub(crate) elder: &'static [&'static str],
}

/// How a value is written in a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is.
    Text,
    /// As it is, and never shown.
    Secret,
    /// YAML, such as `[a, b]`.
    Yaml,
    /// YAML, and never shown.
    SecretYaml,
}

use Form::{Secret, SecretYaml, Text, Yaml};

const fn key(path: &'static str, default: &'static str, form: Form) -> Key {
    Key { path, default, form, elder: &[] }
}

const fn elder(key: Key, elder: &'static [&'static str]) -> Key {
    Key { elder, ..key }
}

/// All of them.
pub(crate) const KEYS: &[Key] = &[
    key("data", "$XDG_DATA_HOME/hearth", Text),
    key("machine", "sandbox", Text),
    key("image", "default", Text),
    key("cold-boot", "false", Yaml),
    key("network", "host; user for virtual machines", Text),
    key("allow-hosts", "[]", Yaml),
    key("allow-hosts-of", "[]", Yaml),
    key("jobs", "one for each CPU", Yaml),
    key("memory", "the driver's", Yaml),
    key("actions-mirrors", "[]", Yaml),
    elder(key("server-url", "https://github.com", Text), &["GITHUB_SERVER_URL"]),
    key("expose", "[]", Yaml),
    elder(key("serve.listen", "127.0.0.1:3000", Text), &["HOST", "PORT"]),
    key("serve.machines", "as many as their owners' tiers allow", Yaml),
    key("serve.vm-types", "bionic-test", Yaml),
    key("serve.tiers", "{}", Yaml),
    elder(key("serve.github.webhook-secrets", "", SecretYaml), &["GITHUB_WEBHOOK_SECRET"]),
    elder(key("serve.github.token", "", Secret), &["GITHUB_TOKEN"]),
    elder(key("serve.github.api-url", "that of server-url", Text), &["GITHUB_API_URL"]),
    key("serve.github.clone-from", "server-url", Text),
    key("serve.github.default-permissions", "restricted", Text),
    key("serve.github.app.id", "", Text),
    key("serve.github.app.private-key", "", Text),
    key("serve.github.oauth.client-id", "", Text),
    elder(key("serve.github.oauth.client-secret", "", Secret), &["GITHUB_OAUTH_CLIENT_SECRET"]),
    key("serve.github.oauth.people", "{}", Yaml),
    key("serve.github.oauth.organisations", "{}", Yaml),
    key("serve.github.oauth.teams", "{}", Yaml),
    key("serve.webhooks.allow", "everybody", Yaml),
    key("serve.webhooks.per-minute", "without bound", Yaml),
    key("serve.webhooks.trusted-proxies", "those on this host", Yaml),
    key("serve.url", "where it listens", Text),
    key("serve.disk.stop-below", "1024", Yaml),
    key("serve.disk.resume-above", "2048", Yaml),
    key("serve.disk.files", "20000", Yaml),
    key("serve.retention.runs-days", "90", Yaml),
    key("serve.retention.artifacts-days", "90", Yaml),
    key("serve.retention.caches-days", "7", Yaml),
    key("serve.retention.payloads-days", "14", Yaml),
    key("serve.retention.deliveries-days", "30", Yaml),
    key("serve.retention.mirrors-days", "90", Yaml),
    key("serve.tls.certificate", "", Text),
    key("serve.tls.key", "", Text),
    key("serve.log-format", "text", Text),
    key("serve.anonymous-read", "false", Yaml),
    elder(key("serve.workflows", "5", Yaml), &["MAX_CONCURRENT_WORKFLOWS"]),
    key("serve.jobs-per-repository", "without bound", Yaml),
    key("serve.approval", "first-time", Text),
    key("serve.untrusted-isolation", "virtual-machine", Text),
    key("serve.priorities", "[]", Yaml),
    key("serve.profiles", "one, named default", Yaml),
    key("firecracker.binary", "the one in PATH", Text),
    key("firecracker.jailer", "the one beside it", Text),
    key("firecracker.disk-limit.mib-per-second", "without bound", Yaml),
    key("firecracker.disk-limit.operations-per-second", "without bound", Yaml),
    key("firecracker.network-limit.mib-per-second", "without bound", Yaml),
    key("firecracker.network-limit.operations-per-second", "without bound", Yaml),
    key("firecracker.metadata", "no such service", Yaml),
];

impl Key {
    /// The variable that goes before it: `HEARTH_` and its names in capitals, with `_` between.
    pub(crate) fn variable(&self) -> String {
        format!("HEARTH_{}", self.path.replace(['.', '-'], "_").to_uppercase())
    }

    /// Its names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('.')
    }

    /// Whether its value is never shown.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(self.form, Secret | SecretYaml)
    }

    /// Whether a variable holds its value as it is.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.form, Text | Secret)
    }
}
