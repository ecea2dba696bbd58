//! What jobs may reach on a network of their own: by the command line, or by the configuration for
//! all or for some.

use anyhow::{Context, Result, bail};
use machine::network::{Destination, NetworkPolicy};

use crate::config::{AllowRule, Config};

/// What the jobs of every workflow may reach.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    rules: Vec<Rule>,
    otherwise: NetworkPolicy,
}

/// What the jobs of one workflow may reach.
#[derive(Clone, Debug)]
pub(crate) struct WorkflowReach {
    rules: Vec<Rule>,
    otherwise: NetworkPolicy,
}

#[derive(Clone, Debug)]
struct Rule {
    workflow: Option<String>,
    job: Option<String>,
    policy: NetworkPolicy,
}

impl Reach {
    /// What the command line names goes before all that is configured.
    pub(crate) fn new(given: &[Destination], config: &Config) -> Result<Self> {
        if !given.is_empty() {
            return Ok(Self { rules: Vec::new(), otherwise: NetworkPolicy { allow: given.to_vec() } });
        }
        let otherwise = NetworkPolicy::parse(config.allow_hosts.iter().map(String::as_str));
        Ok(Self {
            rules: config.allow_hosts_of.iter().map(Rule::read).collect::<Result<_>>()?,
            otherwise: otherwise.context("allow-hosts of the configuration is wrong")?,
        })
    }

    /// What jobs of which nothing is known may reach.
    pub(crate) fn otherwise(&self) -> &NetworkPolicy {
        &self.otherwise
    }

    /// For the workflow with this path and this name.
    pub(crate) fn of_workflow(&self, path: &str, name: &str) -> WorkflowReach {
        let fits = |rule: &&Rule| {
            rule.workflow.as_ref().is_none_or(|wanted| matches(wanted, path) || matches(wanted, name))
        };
        WorkflowReach {
            rules: self.rules.iter().filter(fits).cloned().collect(),
            otherwise: self.otherwise.clone(),
        }
    }
}

impl WorkflowReach {
    /// What the first rule says that fits the job with this id and this name, or what all may reach.
    pub(crate) fn of_job(&self, key: &str, name: &str) -> &NetworkPolicy {
        let fits = |rule: &&Rule| {
            rule.job.as_ref().is_none_or(|wanted| matches(wanted, key) || matches(wanted, name))
        };
        self.rules.iter().find(fits).map_or(&self.otherwise, |rule| &rule.policy)
    }
}

impl Rule {
    fn read(given: &AllowRule) -> Result<Rule> {
        let AllowRule { workflow, job, hosts } = given;
        if workflow.is_none() && job.is_none() {
            bail!(
                "a rule of allow-hosts-of in the configuration names neither workflow nor job; allow-hosts is for all"
            );
        }
        let of = [workflow, job].into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ");
        if hosts.is_empty() {
            bail!("allow-hosts-of of the configuration names no host for {of}; * is all that is public");
        }
        let policy = NetworkPolicy::parse(hosts.iter().map(String::as_str));
        let policy =
            policy.with_context(|| format!("allow-hosts-of of the configuration is wrong for {of}"))?;
        Ok(Rule { workflow: workflow.clone(), job: job.clone(), policy })
    }
}

/// Whether a text is as a pattern says, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(at) = text.find(piece) else { return false };
        text = &text[at + piece.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_everything_else_for_itself() {
        for (pattern, text) in [
            ("*", ""),
            ("a", "a"),
            ("a*", "abc"),
            ("*c", "abc"),
            ("a*b*c", "axbxbc"),
            ("*/ci.yml", ".github/ci.yml"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("a", "ab"), ("a*a", "a"), ("a*", "ba"), ("*b*b", "ab"), ("a?", "ab"), ("", "a")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    fn reach(given: &[Destination], yaml: &str) -> Result<Reach> {
        Reach::new(given, &serde_saphyr::from_str(yaml)?)
    }

    const RULES: &str = "allow-hosts: [all.example]\nallow-hosts-of:\n\
                         - {workflow: '*/release.yml', job: publish, hosts: [crates.io]}\n\
                         - {workflow: Release, hosts: [release.example, 10.0.0.0/8]}\n\
                         - {job: 'audit*', hosts: ['*']}\n";

    #[test]
    fn the_first_rule_that_fits_workflow_and_job_decides_and_else_what_all_may() {
        let reach = reach(&[], RULES).unwrap();
        let of = |path, name, (key, job)| -> Vec<String> {
            let reach = reach.of_workflow(path, name);
            reach.of_job(key, job).allow.iter().map(ToString::to_string).collect()
        };
        let (path, name) = (".github/workflows/release.yml", "Release");
        assert_eq!(of(path, name, ("publish", "Publish")), ["crates.io"]);
        assert_eq!(of(path, name, ("build", "publish")), ["crates.io"]);
        assert_eq!(of(path, name, ("build", "Build")), ["release.example", "10.0.0.0/8"]);
        assert_eq!(of("ci.yml", "CI", ("audit", "Audit (1)")), ["*"]);
        assert_eq!(of("ci.yml", "CI", ("build", "Build")), ["all.example"]);
    }

    #[test]
    fn the_command_line_goes_before_every_rule() {
        let reach = reach(&["other.example".parse().unwrap()], RULES).unwrap();
        let workflow = reach.of_workflow("release.yml", "Release");
        assert_eq!(workflow.of_job("publish", "").allow, ["other.example".parse().unwrap()]);
    }

    #[test]
    fn a_rule_that_would_open_everything_by_mistake_is_refused() {
        for (yaml, reason) in [
            ("allow-hosts-of: [{hosts: [a.example]}]", "names neither workflow nor job"),
            ("allow-hosts-of: [{job: a, hosts: []}]", "names no host for a; * is all that is public"),
            ("allow-hosts-of: [{job: a, workflow: b, hosts: ['https://x']}]", "is wrong for b, a"),
            ("allow-hosts-of: [{job: a}]", "missing field"),
        ] {
            let error = format!("{:#}", reach(&[], yaml).unwrap_err());
            assert!(error.contains(reason), "{error}");
        }
    }
}
