//! What the inputs of `actions/checkout` ask for.

use model::{ActionRef, Secret, Template};
use serde_json::Value as Json;

use crate::action::{Manifest, ManifestInput, Runs};
use crate::environment::Variables;
use crate::{CheckoutRequest, SshAccess};

/// Inputs of `actions/checkout` with their defaults; expressions are marked.
const INPUTS: [(&str, &str); 21] = [
    ("repository", "=github.repository"),
    ("ref", ""),
    ("token", "=github.token"),
    ("ssh-key", ""),
    ("ssh-known-hosts", ""),
    ("ssh-strict", "true"),
    ("ssh-user", "git"),
    ("persist-credentials", "true"),
    ("path", ""),
    ("clean", "true"),
    ("filter", ""),
    ("sparse-checkout", ""),
    ("sparse-checkout-cone-mode", "true"),
    ("fetch-depth", "1"),
    ("fetch-tags", "false"),
    ("show-progress", "true"),
    ("lfs", "false"),
    ("submodules", "false"),
    ("set-safe-directory", "true"),
    ("github-server-url", "=github.server_url"),
    ("allow-unsafe-pr-checkout", "false"),
];

/// Where payloads have the commit or branch that their event is about.
const EVENT_HEADS: [&str; 6] = [
    "/after",
    "/pull_request/head/sha",
    "/pull_request/head/ref",
    "/merge_group/head_sha",
    "/workflow_run/head_sha",
    "/workflow_run/head_branch",
];

/// The depth that git takes for all of the history.
const MAX_DEPTH: u32 = i32::MAX.cast_unsigned();

/// Whether `uses` means `actions/checkout`.
pub(crate) fn is_checkout(uses: &ActionRef) -> bool {
    matches!(uses, ActionRef::Repository { owner, repo, path, .. }
        if owner.eq_ignore_ascii_case("actions") && repo.eq_ignore_ascii_case("checkout") && path.is_empty())
}

/// The manifest that inputs are checked against.
pub(crate) fn manifest() -> Manifest {
    let input = |(name, default): &(&str, &str)| ManifestInput {
        name: (*name).to_owned(),
        default: Some(match default.strip_prefix('=') {
            Some(expression) => Template::expression(expression),
            None => Template::text(*default),
        }),
        deprecation: None,
    };
    Manifest { inputs: INPUTS.iter().map(input).collect(), outputs: Vec::new(), runs: Runs::Checkout }
}

/// What the inputs ask for. The errors are those of `actions/checkout`.
pub(super) fn request(inputs: &Variables, own_repository: &str) -> Result<CheckoutRequest, String> {
    let get = |name: &str| input(inputs, name);
    let repository = get("repository");
    let repository = if repository.eq_ignore_ascii_case(own_repository) { "" } else { repository };
    if !repository.is_empty() && repository.split('/').filter(|part| !part.is_empty()).count() != 2 {
        return Err(format!("Invalid repository '{repository}'. Expected format {{owner}}/{{repo}}."));
    }
    let depth = get("fetch-depth").trim().parse::<i64>().unwrap_or(0).max(0);
    let (server, token, ssh) = match repository {
        "" => ("", "", None),
        _ => (get("github-server-url"), get("token"), ssh_access(inputs)),
    };
    let submodules = match get("submodules").trim().to_ascii_lowercase().as_str() {
        "recursive" => "recursive",
        "true" => "true",
        _ => "",
    };
    let sparse = get("sparse-checkout").lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(CheckoutRequest {
        repository: repository.to_owned(),
        server: server.to_owned(),
        token: Secret(token.to_owned()),
        reference: get("ref").to_owned(),
        fetch_depth: u32::try_from(depth).unwrap_or(MAX_DEPTH).min(MAX_DEPTH),
        fetch_tags: is_true(get("fetch-tags")),
        sparse_checkout: sparse.map(str::to_owned).collect(),
        cone_mode: is_true(get("sparse-checkout-cone-mode")),
        submodules: submodules.to_owned(),
        lfs: is_true(get("lfs")),
        filter: get("filter").to_owned(),
        ssh,
    })
}

/// The key that the step gives, if any, and whom to show it.
pub(super) fn ssh_access(inputs: &Variables) -> Option<SshAccess> {
    let get = |name: &str| input(inputs, name);
    let user = if get("ssh-user").is_empty() { "git" } else { get("ssh-user") };
    (!get("ssh-key").is_empty()).then(|| SshAccess {
        key: Secret(get("ssh-key").to_owned()),
        known_hosts: get("ssh-known-hosts").to_owned(),
        is_strict: is_true(get("ssh-strict")),
        user: user.to_owned(),
    })
}

/// The request, with the working tree in place of what a payload calls the head of its event: GitHub has that commit,
/// and it is what the folder stands for here.
pub(super) fn at_hand(request: &CheckoutRequest, event: &Json) -> CheckoutRequest {
    let is = |pointer: &str, name: &str| event.pointer(pointer).and_then(Json::as_str) == Some(name);
    let mut request = request.clone();
    if is("/pull_request/head/repo/full_name", &request.repository) {
        request.repository.clear();
    }
    let name = request.reference.strip_prefix("refs/heads/").unwrap_or(&request.reference);
    if request.repository.is_empty() && EVENT_HEADS.iter().any(|pointer| is(pointer, name)) {
        request.reference.clear();
    }
    request
}

/// The folder to check out into, relative to the workspace; it must not lead out of it.
pub(super) fn target(path: &str, workspace: &str) -> Result<String, String> {
    let full = if path.starts_with('/') { path.to_owned() } else { format!("{workspace}/{path}") };
    let full = crate::output::normal(&full);
    if full == workspace || full.starts_with(&format!("{workspace}/")) {
        return Ok(full);
    }
    Err(format!("Repository path '{full}' is not under '{workspace}'"))
}

pub(super) fn input<'a>(inputs: &'a Variables, name: &str) -> &'a str {
    let found = inputs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map_or("", |(_, value)| value.trim())
}

pub(super) fn is_true(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(pairs: &[(&str, &str)]) -> Variables {
        let defaults = INPUTS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut inputs: Variables = defaults.collect();
        inputs.insert("repository".to_owned(), "octo/app".to_owned());
        inputs.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        inputs
    }

    #[test]
    fn any_version_of_actions_checkout_is_meant() {
        let uses = |owner: &str, path: &str| ActionRef::Repository {
            owner: owner.to_owned(),
            repo: "checkout".to_owned(),
            path: path.to_owned(),
            reference: "v5".to_owned(),
        };
        assert!(is_checkout(&uses("Actions", "")));
        assert!(!is_checkout(&uses("octo", "")));
        assert!(!is_checkout(&uses("actions", "sub")));
    }

    #[test]
    fn the_runs_own_repository_is_the_default() {
        let request = request(&inputs(&[("token", "t")]), "Octo/App").unwrap();
        assert_eq!((request.repository.as_str(), request.reference.as_str()), ("", ""));
        assert_eq!(request.token.0, "", "nothing is fetched for it");
        assert_eq!(request.fetch_depth, 1);
        assert!(request.cone_mode && !request.lfs && request.submodules.is_empty());
    }

    #[test]
    fn the_head_of_an_event_is_the_tree_at_hand() {
        let event = serde_json::json!({"after": "aaa", "pull_request": {"head": {
            "sha": "bbb", "ref": "topic", "repo": {"full_name": "fork/app"}}}});
        let asked = |pairs: &[(&str, &str)]| {
            let asked = at_hand(&request(&inputs(pairs), "octo/app").unwrap(), &event);
            (asked.repository, asked.reference)
        };
        let here = (String::new(), String::new());
        assert_eq!(asked(&[("ref", "aaa")]), here);
        assert_eq!(asked(&[("ref", "bbb")]), here);
        assert_eq!(asked(&[("ref", "refs/heads/topic"), ("repository", "fork/app")]), here);
        assert_eq!(asked(&[("ref", "other")]), (String::new(), "other".to_owned()));
        assert_eq!(
            asked(&[("ref", "topic"), ("repository", "octo/b")]),
            ("octo/b".to_owned(), "topic".to_owned())
        );
    }

    #[test]
    fn every_input_is_read() {
        let inputs = inputs(&[
            ("repository", "octo/other"),
            ("github-server-url", "https://git.example.com"),
            ("token", "t"),
            ("ref", "v1"),
            ("fetch-depth", "0"),
            ("fetch-tags", "true"),
            ("sparse-checkout", "a\n\n b \n"),
            ("sparse-checkout-cone-mode", "false"),
            ("submodules", "Recursive"),
            ("lfs", "TRUE"),
            ("filter", "blob:none"),
            ("ssh-key", "KEY\n"),
            ("ssh-known-hosts", "host ssh-ed25519 AAAA"),
            ("ssh-strict", "false"),
            ("ssh-user", ""),
        ]);
        let request = request(&inputs, "octo/app").unwrap();
        assert_eq!(request.repository, "octo/other");
        assert_eq!((request.server.as_str(), request.token.0.as_str()), ("https://git.example.com", "t"));
        assert_eq!(request.sparse_checkout, ["a", "b"]);
        assert_eq!((request.fetch_depth, request.fetch_tags, request.cone_mode), (0, true, false));
        assert_eq!((request.submodules.as_str(), request.lfs), ("recursive", true));
        assert_eq!(request.filter, "blob:none");
        let ssh = request.ssh.unwrap();
        assert_eq!((ssh.key.0.as_str(), ssh.user.as_str(), ssh.is_strict), ("KEY", "git", false));
        assert_eq!(ssh.known_hosts, "host ssh-ed25519 AAAA");
    }

    #[test]
    fn a_repository_needs_an_owner_and_a_name() {
        assert!(request(&inputs(&[("repository", "app")]), "octo/app").is_err());
    }

    #[test]
    fn the_path_may_not_lead_out_of_the_workspace() {
        assert_eq!(target("", "/w").unwrap(), "/w");
        assert_eq!(target("a/./b", "/w").unwrap(), "/w/a/b");
        assert_eq!(target("/w/x", "/w").unwrap(), "/w/x");
        assert!(target("../x", "/w").is_err());
        assert!(target("/etc", "/w").is_err());
    }
}
