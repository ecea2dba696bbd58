//! The kinds of webhook events.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// What of an event may start workflows.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Starts {
    /// Nothing.
    Nothing,
    /// Whatever its action.
    Always,
    /// These actions only.
    On(&'static [&'static str]),
}

macro_rules! event_kinds {
    ($($variant:ident = $name:literal, $starts:expr;)*) => {
        /// Kind of a webhook event, by the name in `X-GitHub-Event`.
        /// <https://docs.github.com/en/webhooks/webhook-events-and-payloads>
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each is documented under its own name at the address above")]
        pub enum EventKind {
            $($variant,)*
            /// One that this version does not know. It starts nothing, and is kept like the others.
            Unknown(String),
        }

        impl EventKind {
            /// All that have a name here.
            pub const KNOWN: &'static [EventKind] = &[$(EventKind::$variant),*];

            /// Its name.
            pub fn as_str(&self) -> &str {
                match self {
                    $(EventKind::$variant => $name,)*
                    EventKind::Unknown(name) => name,
                }
            }

            pub(super) fn starts(&self) -> Starts {
                match self {
                    $(EventKind::$variant => $starts,)*
                    EventKind::Unknown(_) => Starts::Nothing,
                }
            }
        }

        impl FromStr for EventKind {
            type Err = Infallible;

            fn from_str(name: &str) -> Result<EventKind, Infallible> {
                Ok(match name {
                    $($name => EventKind::$variant,)*
                    unknown => EventKind::Unknown(unknown.to_owned()),
                })
            }
        }
    };
}

use Starts::{Always, Nothing, On};

event_kinds! {
    BranchProtectionConfiguration = "branch_protection_configuration", Nothing;
    BranchProtectionRule = "branch_protection_rule", Always;
    CheckRun = "check_run", Always;
    CheckSuite = "check_suite", On(&["completed"]);
    CodeScanningAlert = "code_scanning_alert", Nothing;
    CommitComment = "commit_comment", Nothing;
    Create = "create", Always;
    CustomProperty = "custom_property", Nothing;
    CustomPropertyValues = "custom_property_values", Nothing;
    Delete = "delete", Always;
    DependabotAlert = "dependabot_alert", Nothing;
    DeployKey = "deploy_key", Nothing;
    Deployment = "deployment", Always;
    DeploymentProtectionRule = "deployment_protection_rule", Nothing;
    DeploymentReview = "deployment_review", Nothing;
    DeploymentStatus = "deployment_status", Always;
    Discussion = "discussion", Always;
    DiscussionComment = "discussion_comment", Always;
    Fork = "fork", Always;
    GithubAppAuthorization = "github_app_authorization", Nothing;
    Gollum = "gollum", Always;
    // Made up where images are built; GitHub sends no webhook of it.
    ImageVersion = "image_version", Always;
    Installation = "installation", Nothing;
    InstallationRepositories = "installation_repositories", Nothing;
    InstallationTarget = "installation_target", Nothing;
    IssueComment = "issue_comment", Always;
    IssueDependencies = "issue_dependencies", Nothing;
    Issues = "issues", Always;
    Label = "label", Always;
    MarketplacePurchase = "marketplace_purchase", Nothing;
    Member = "member", Nothing;
    Membership = "membership", Nothing;
    MergeGroup = "merge_group", On(&["checks_requested"]);
    Meta = "meta", Nothing;
    Milestone = "milestone", Always;
    OrgBlock = "org_block", Nothing;
    Organization = "organization", Nothing;
    Package = "package", Nothing;
    PageBuild = "page_build", Always;
    PersonalAccessTokenRequest = "personal_access_token_request", Nothing;
    Ping = "ping", Nothing;
    Project = "project", Always;
    ProjectCard = "project_card", Always;
    ProjectColumn = "project_column", Always;
    ProjectsV2 = "projects_v2", Nothing;
    ProjectsV2Item = "projects_v2_item", Nothing;
    ProjectsV2StatusUpdate = "projects_v2_status_update", Nothing;
    Public = "public", Always;
    PullRequest = "pull_request", Always;
    PullRequestReview = "pull_request_review", Always;
    PullRequestReviewComment = "pull_request_review_comment", Always;
    PullRequestReviewThread = "pull_request_review_thread", Nothing;
    // Never a webhook: each `pull_request` is one of these as well.
    PullRequestTarget = "pull_request_target", Always;
    Push = "push", Always;
    RegistryPackage = "registry_package", On(&["published", "updated"]);
    Release = "release", Always;
    Repository = "repository", Nothing;
    RepositoryAdvisory = "repository_advisory", Nothing;
    RepositoryDispatch = "repository_dispatch", Always;
    RepositoryImport = "repository_import", Nothing;
    RepositoryRuleset = "repository_ruleset", Nothing;
    RepositoryVulnerabilityAlert = "repository_vulnerability_alert", Nothing;
    // Made up by our own clock.
    Schedule = "schedule", Always;
    SecretScanningAlert = "secret_scanning_alert", Nothing;
    SecretScanningAlertLocation = "secret_scanning_alert_location", Nothing;
    SecretScanningScan = "secret_scanning_scan", Nothing;
    SecurityAdvisory = "security_advisory", Nothing;
    SecurityAndAnalysis = "security_and_analysis", Nothing;
    Sponsorship = "sponsorship", Nothing;
    Star = "star", Nothing;
    Status = "status", Always;
    SubIssues = "sub_issues", Nothing;
    Team = "team", Nothing;
    TeamAdd = "team_add", Nothing;
    Watch = "watch", On(&["started"]);
    WorkflowDispatch = "workflow_dispatch", Always;
    WorkflowJob = "workflow_job", Nothing;
    WorkflowRun = "workflow_run", Always;
}

impl EventKind {
    /// The kind of this name.
    pub fn of(name: &str) -> EventKind {
        let Ok(kind) = name.parse();
        kind
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in EventKind::KNOWN {
            assert_eq!(EventKind::of(kind.as_str()), *kind);
        }
    }

    #[test]
    fn an_unknown_kind_keeps_its_name() {
        assert_eq!(EventKind::of("brand_new").as_str(), "brand_new");
        assert_eq!(EventKind::of("brand_new").starts(), Starts::Nothing);
    }
}
