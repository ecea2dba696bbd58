//! Who somebody is at GitHub: the web application flow of OAuth apps, with PKCE.
//!
//! [`OAuthApp::address`] is where a browser is sent; GitHub sends it back with a code, which [`OAuthApp::identify`]
//! changes for a token. The token asks who the person is and which groups they belong to, and is forgotten.
//! <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#web-application-flow>

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Secret;
use ring::digest::{SHA256, digest};
use serde_json::json;

use super::client::{Auth, Call, Client, ClientError, segment};

/// What may be asked about memberships that a person does not show to everybody.
/// <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps>
const SCOPE_OF_GROUPS: &str = "read:org";

/// An OAuth app, as it is registered at a server.
#[derive(Clone, Debug)]
pub struct OAuthApp {
    /// The server, where people sign in (`https://github.com`).
    pub server: String,
    /// Its API.
    pub api: String,
    /// The app's id.
    pub client_id: String,
    /// The app's secret.
    pub client_secret: Secret,
}

/// People who belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    /// Members of an organisation.
    Organisation(String),
    /// Members of a team: its organisation, and its name in addresses.
    Team(String, String),
}

/// Somebody who has signed in at GitHub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Their name there, which may be another's tomorrow.
    pub login: String,
    /// Their number there.
    pub id: u64,
    /// Of the groups that were asked about, those that they belong to.
    pub groups: Vec<Group>,
}

/// Why it is not known who somebody is.
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// The code was not taken: it is good once, and for ten minutes.
    #[error("GitHub does not take the code that it gave: {0}")]
    Code(String),
    /// GitHub was asked in vain.
    #[error(transparent)]
    Call(#[from] ClientError),
}

impl OAuthApp {
    /// Where a browser is sent. `verifier` stays here; GitHub sees its hash now, and itself with the code.
    #[must_use]
    pub fn address(&self, redirect: &str, state: &str, verifier: &str, asks_groups: bool) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let scope = if asks_groups { SCOPE_OF_GROUPS } else { "" };
        format!(
            "{}/login/oauth/authorize?client_id={}&redirect_uri={}&scope={}&state={}&code_challenge={challenge}\
             &code_challenge_method=S256&allow_signup=false",
            self.server.trim_end_matches('/'),
            segment(&self.client_id),
            segment(redirect),
            segment(scope),
            segment(state),
        )
    }

    /// Whose code this is, and which of these groups they belong to.
    ///
    /// # Errors
    /// The code was not taken, or GitHub does not answer.
    pub async fn identify(
        &self,
        code: &str,
        verifier: &str,
        redirect: &str,
        groups: impl Iterator<Item = &Group>,
    ) -> Result<Person, OAuthError> {
        let token = self.token(code, verifier, redirect).await?;
        let client = Client::new(&self.api, Auth::Token(token))?;
        let user = client.call(&Call::get("/user", "ask who has signed in")).await?.body;
        let unclear = || OAuthError::Code("its token belongs to nobody".to_owned());
        let login = user["login"].as_str().ok_or_else(unclear)?.to_owned();
        let id = user["id"].as_u64().ok_or_else(unclear)?;
        let mut theirs = Vec::new();
        for group in groups {
            if belongs(&client, &login, group).await? {
                theirs.push(group.clone());
            }
        }
        Ok(Person { login, id, groups: theirs })
    }

    async fn token(&self, code: &str, verifier: &str, redirect: &str) -> Result<Secret, OAuthError> {
        let body = json!({
            "client_id": self.client_id, "client_secret": self.client_secret.0,
            "code": code, "code_verifier": verifier, "redirect_uri": redirect,
        });
        let call = Call::post("/login/oauth/access_token", "change a code for a token", body);
        let answer = Client::new(&self.server, Auth::Nobody)?.json_only().call(&call).await?.body;
        // Errors come with the status of success.
        // <https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors>
        match answer["access_token"].as_str() {
            Some(token) => Ok(Secret(token.to_owned())),
            None => {
                let said = answer["error_description"].as_str().or_else(|| answer["error"].as_str());
                Err(OAuthError::Code(said.unwrap_or("it says nothing more").to_owned()))
            }
        }
    }
}

/// Whether somebody is a member, and not only invited.
/// <https://docs.github.com/en/rest/orgs/members#get-an-organization-membership-for-the-authenticated-user>,
/// <https://docs.github.com/en/rest/teams/members#get-team-membership-for-a-user>
async fn belongs(client: &Client, login: &str, group: &Group) -> Result<bool, OAuthError> {
    let path = match group {
        Group::Organisation(name) => format!("/user/memberships/orgs/{}", segment(name)),
        Group::Team(organisation, team) => {
            format!("/orgs/{}/teams/{}/memberships/{}", segment(organisation), segment(team), segment(login))
        }
    };
    match client.call(&Call::get(path, format!("ask what {login} belongs to"))).await {
        Ok(answer) => Ok(answer.body["state"] == "active"),
        // No member; or an organisation that lets this app see nothing, which is said in the guide.
        Err(error) if matches!(error.status(), Some(403 | 404)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_sent_with_the_hash_of_a_secret_that_stays_here() {
        let app = OAuthApp {
            server: "https://github.com/".to_owned(),
            api: "https://api.github.com".to_owned(),
            client_id: "Ov23".to_owned(),
            client_secret: Secret("hidden".to_owned()),
        };
        // The pair of RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let address = app.address("https://ci.example.com/sign-in/github/back", "s&1", verifier, true);
        assert_eq!(
            address,
            "https://github.com/login/oauth/authorize?client_id=Ov23\
             &redirect_uri=https%3A%2F%2Fci.example.com%2Fsign-in%2Fgithub%2Fback&scope=read%3Aorg&state=s%261\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256\
             &allow_signup=false"
        );
        assert!(app.address("x", "s", verifier, false).contains("&scope=&"));
    }
}
