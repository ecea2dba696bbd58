//! GitHub's REST API.
//!
//! A thin client: it knows addresses, tokens, bounds, and rate limits, and nothing of what is called. Decision
//! record 0031 says why it is our own.

mod call;
mod error;
mod observed;
pub mod retry;
mod transport;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LINK, USER_AGENT};
use model::Secret;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value as Json;
use tokio::sync::Semaphore;

use super::app::App;
use super::app::tokens::{Minted, TokenRequest, Tokens};
pub use call::{Answer, Call, Method, segment};
pub use error::ClientError;
pub use observed::{Observed, Observer};
use retry::{Limits, Outcome, Pace, Reason, Try, Verdict};
use transport::{NotReceived, Received, Transport};

/// The version of the API that calls are written for.
/// <https://docs.github.com/en/rest/about-the-rest-api/api-versions>
pub const API_VERSION: &str = "2022-11-28";

/// What the API answers with.
const ACCEPTED: &str = "application/vnd.github+json, application/json";

/// How long a call may take; GitHub itself ends them after 10 seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Calls at once; GitHub asks for few, and for no more than a hundred.
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits>
const MAX_CALLS: usize = 8;

/// Characters of a server's message that an error quotes.
const MAX_MESSAGE: usize = 500;

/// Moves that a call is followed through: a repository that was renamed, and its owner.
const MAX_MOVES: u32 = 3;

/// Pages that a list is read to; each has a hundred entries.
const MAX_PAGES: usize = 30;

/// Whom calls are made as.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Nobody; enough for what is public.
    Nobody,
    /// A token, of a person or a machine user.
    Token(Secret),
    /// A GitHub App.
    App(Arc<App>),
}

/// A client of one API. Clones share connections, tokens, and what is known of limits.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    identity: Identity,
    observer: Option<Observer>,
    accept: &'static str,
}

#[derive(Clone, Debug)]
enum Identity {
    Nobody,
    Token(Secret),
    App(Arc<App>),
    Installation(Arc<App>, u64),
}

struct Shared {
    base: String,
    transport: Transport,
    timeout: Duration,
    pace: Pace,
    tokens: Tokens,
    room: Semaphore,
    /// Until when GitHub wants to hear nothing, by whose limit it is, in seconds since 1970.
    closed: Mutex<Vec<(Option<u64>, u64)>>,
    random: SystemRandom,
}

impl Client {
    /// A client of the API at an address (`https://api.github.com`).
    pub fn new(api: &str, auth: Auth) -> Result<Client, ClientError> {
        Client::with_pace(api, auth, CALL_TIMEOUT, Pace::default())
    }

    /// The same, with another patience.
    pub fn with_pace(api: &str, auth: Auth, timeout: Duration, pace: Pace) -> Result<Client, ClientError> {
        let base = api.trim_end_matches('/').to_owned();
        let fault = |reason| Err(ClientError::Address { address: api.to_owned(), reason });
        let Some((scheme, rest)) = base.split_once("://") else { return fault("it has no scheme") };
        if !["http", "https"].contains(&scheme) {
            return fault("its scheme must be https or http");
        }
        if rest.is_empty() || rest.contains(['@', '?', '#']) || base.parse::<hyper::Uri>().is_err() {
            return fault("it must be a server and a path");
        }
        let transport = Transport::of(&base)?;
        let identity = match auth {
            Auth::Nobody => Identity::Nobody,
            Auth::Token(token) => Identity::Token(token),
            Auth::App(app) => Identity::App(app),
        };
        let shared = Shared {
            base,
            transport,
            timeout,
            pace,
            tokens: Tokens::default(),
            room: Semaphore::new(MAX_CALLS),
            closed: Mutex::default(),
            random: SystemRandom::new(),
        };
        Ok(Client { shared: Arc::new(shared), identity, observer: None, accept: ACCEPTED })
    }

    /// The App as which calls are made, if it is one.
    pub fn app(&self) -> Option<&Arc<App>> {
        match &self.identity {
            Identity::App(app) | Identity::Installation(app, _) => Some(app),
            Identity::Nobody | Identity::Token(_) => None,
        }
    }

    /// The same client, speaking for an installation of the App. With a token it stays what it is.
    #[must_use]
    pub fn installation(&self, id: u64) -> Client {
        let identity = match self.app() {
            Some(app) => Identity::Installation(app.clone(), id),
            None => self.identity.clone(),
        };
        Client { identity, ..self.clone() }
    }

    /// The same client, which tells of each try of a call.
    #[must_use]
    pub fn observed(self, observer: Observer) -> Client {
        Client { observer: Some(observer), ..self }
    }

    /// The same client, speaking as the holder of a token.
    #[must_use]
    pub fn holding(&self, token: Secret) -> Client {
        Client { identity: Identity::Token(token), ..self.clone() }
    }

    /// The same client, for what is beside the API and answers in other forms unless it is told.
    #[must_use]
    pub(super) fn json_only(self) -> Client {
        Client { accept: "application/json", ..self }
    }

    /// A token of an installation, cut down to some repositories and permissions. One that was made before and is
    /// still good for a while is given again.
    pub async fn token(&self, request: &TokenRequest) -> Result<Minted, ClientError> {
        if let Some(minted) = self.shared.tokens.get(request, now()) {
            return Ok(minted);
        }
        let minted = self.mint(request).await?;
        self.shared.tokens.put(request, &minted, now());
        Ok(minted)
    }

    /// The same, but a token of its own for whoever asks, which nobody else is given.
    pub async fn mint(&self, request: &TokenRequest) -> Result<Minted, ClientError> {
        let Some(app) = self.app() else {
            let what = format!("make a token of installation {}", request.installation);
            let message = "only an App has installations".to_owned();
            return Err(ClientError::Refused { call: what, status: 401, message, needs: None });
        };
        let as_app = Client { identity: Identity::App(app.clone()), ..self.clone() };
        // Boxed, since a call needs a token and a token a call.
        let answer = Box::pin(as_app.call(&request.call())).await?;
        Minted::of(&answer.body).map_err(|cause| ClientError::Answer {
            call: format!("make a token of installation {}", request.installation),
            cause,
        })
    }

    /// Makes a call, and again where that helps. Safe to drop; then it may have been carried out or not.
    pub async fn call(&self, call: &Call) -> Result<Answer, ClientError> {
        let mut call = call.clone();
        for _ in 0..MAX_MOVES {
            match self.persistently(&call).await? {
                Ok(answer) => return Ok(answer),
                Err(path) => call.path = path,
            }
        }
        let message = format!("it moved more than {MAX_MOVES} times");
        Err(ClientError::Refused { call: call.what, status: 301, message, needs: None })
    }

    /// Makes a call until it is answered; or else where the server says that its object is now.
    async fn persistently(&self, call: &Call) -> Result<Result<Answer, String>, ClientError> {
        let mut number = 1;
        let mut is_renewed = false;
        loop {
            if let Some(wait) = self.closed_for() {
                return Err(ClientError::Limited { call: call.what.clone(), wait });
            }
            let began = Instant::now();
            let received = self.once(call).await?;
            let outcome = outcome_of(&received);
            if let Some(observer) = &self.observer {
                observer(&Observed::of(call.method, &call.path, &outcome, began.elapsed()));
            }
            if let Some(path) = received.as_ref().ok().and_then(|received| moved(received, &self.shared.base))
            {
                return Ok(Err(path));
            }
            let attempt =
                Try { number, repeatable: call.repeatable, outcome, now: now(), jitter: self.jitter() };
            match (attempt.verdict(&self.shared.pace), received) {
                (Verdict::Done, Ok(received)) => {
                    self.note_limit(&limits_of(&received.headers));
                    return answer(call, &received, &self.shared.base).map(Ok);
                }
                (Verdict::Wait(wait), _) => tokio::time::sleep(wait).await,
                // A token that was taken back before its time.
                (Verdict::GiveUp(Reason::Refused), Ok(received))
                    if received.status == 401 && !is_renewed && self.forget_token() =>
                {
                    is_renewed = true;
                }
                (Verdict::GiveUp(reason), received) => return Err(self.given_up(call, reason, received)),
                (Verdict::Done, Err(none)) => {
                    return Err(ClientError::Unreachable { call: call.what.clone(), cause: none.cause });
                }
            }
            number += 1;
        }
    }

    /// All entries of a list, page by page. `entries` finds them in a page; a list that is longer than the pages
    /// that are read is cut.
    pub async fn list(
        &self,
        call: &Call,
        entries: impl Fn(&Json) -> Option<&Vec<Json>>,
        mut enough: impl FnMut(&Json) -> bool,
    ) -> Result<Vec<Json>, ClientError> {
        let mut call = call.clone();
        let mut all = Vec::new();
        for _ in 0..MAX_PAGES {
            let answer = self.call(&call).await?;
            for entry in entries(&answer.body).into_iter().flatten() {
                let is_last = enough(entry);
                all.push(entry.clone());
                if is_last {
                    return Ok(all);
                }
            }
            match answer.next {
                Some(next) => call.path = next,
                None => break,
            }
        }
        Ok(all)
    }

    /// One try.
    async fn once(&self, call: &Call) -> Result<Result<Received, NotReceived>, ClientError> {
        let request = self.request(call).await?;
        // Never closed, so there is always a permit to come.
        let _room = self.shared.room.acquire().await;
        Ok(self.shared.transport.send(request, self.shared.timeout).await)
    }

    async fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, ClientError> {
        let body = call.body.as_ref().map(Json::to_string).unwrap_or_default();
        let mut request = Request::builder()
            .method(call.method.as_str())
            .uri(format!("{}{}", self.shared.base, call.path))
            .header(ACCEPT, self.accept)
            .header(USER_AGENT, concat!("hearth/", env!("CARGO_PKG_VERSION")))
            .header("X-GitHub-Api-Version", API_VERSION);
        if call.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(token) = self.bearer().await? {
            let value = HeaderValue::try_from(format!("Bearer {}", token.0));
            let mut value = value.map_err(|_| ClientError::App(super::app::AppError::Token))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let unusable = |error: hyper::http::Error| ClientError::Answer {
            call: call.what.clone(),
            cause: format!("the call itself can't be made: {error}"),
        };
        request.body(Full::new(Bytes::from(body))).map_err(unusable)
    }

    /// What `Authorization` carries.
    async fn bearer(&self) -> Result<Option<Secret>, ClientError> {
        Ok(match &self.identity {
            Identity::Nobody => None,
            Identity::Token(token) => Some(token.clone()),
            Identity::App(app) => Some(app.jwt(now())?),
            Identity::Installation(_, id) => Some(self.token(&TokenRequest::whole(*id)).await?.token),
        })
    }

    /// Forgets the token of this installation; whether there was one to forget.
    fn forget_token(&self) -> bool {
        match &self.identity {
            Identity::Installation(_, id) => self.shared.tokens.forget(&TokenRequest::whole(*id)),
            _ => false,
        }
    }

    fn given_up(&self, call: &Call, reason: Reason, received: Result<Received, NotReceived>) -> ClientError {
        let what = call.what.clone();
        if let Reason::Limited(wait) = reason {
            self.close(now().saturating_add(wait.as_secs()));
            return ClientError::Limited { call: what, wait };
        }
        match (reason, received) {
            (Reason::Unsure, Ok(received)) => {
                ClientError::Unsure { call: what, cause: format!("it answered {}", received.status) }
            }
            (Reason::Unsure, Err(none)) => ClientError::Unsure { call: what, cause: none.cause },
            (_, Err(none)) => ClientError::Unreachable { call: what, cause: none.cause },
            (_, Ok(received)) => ClientError::Refused {
                call: what,
                status: received.status.as_u16(),
                message: message_of(&received.body),
                needs: header(&received.headers, "x-accepted-github-permissions").map(str::to_owned),
            },
        }
    }

    /// The last answer of an hour's allowance closes the door until the next hour.
    fn note_limit(&self, limits: &Limits) {
        if let (Some(0), Some(reset)) = (limits.remaining, limits.reset) {
            self.close(reset);
        }
    }

    fn close(&self, until: u64) {
        let mut closed = self.shared.closed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = now();
        closed.retain(|(whose, time)| *time > now && *whose != self.whose());
        closed.push((self.whose(), until));
    }

    fn closed_for(&self) -> Option<Duration> {
        let closed = self.shared.closed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let until = closed.iter().find(|(whose, _)| *whose == self.whose())?.1;
        until.checked_sub(now()).filter(|left| *left > 0).map(Duration::from_secs)
    }

    /// Whose limit calls count against: each installation has one of its own.
    fn whose(&self) -> Option<u64> {
        match self.identity {
            Identity::Installation(_, id) => Some(id),
            _ => None,
        }
    }

    fn jitter(&self) -> f64 {
        let mut bytes = [0; 4];
        // Without randomness all wait for the same time, which is no more than impolite.
        let _ = self.shared.random.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("api", &self.shared.base).field("identity", &self.identity).finish()
    }
}

impl Method {
    fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Patch => "PATCH",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

fn outcome_of(received: &Result<Received, NotReceived>) -> Outcome {
    match received {
        Ok(received) => Outcome::Answered {
            status: received.status.as_u16(),
            limits: limits_of(&received.headers),
            speaks_of_limit: received.status == 403
                && message_of(&received.body).to_lowercase().contains("rate limit"),
        },
        Err(none) if none.is_unsent => Outcome::NotSent,
        Err(_) => Outcome::Lost,
    }
}

fn limits_of(headers: &HeaderMap) -> Limits {
    let number = |name: &str| header(headers, name).and_then(|text| text.trim().parse().ok());
    Limits {
        retry_after: number("retry-after").map(Duration::from_secs),
        remaining: number("x-ratelimit-remaining"),
        reset: number("x-ratelimit-reset"),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn answer(call: &Call, received: &Received, base: &str) -> Result<Answer, ClientError> {
    let body = match &received.body[..] {
        [] => Json::Null,
        bytes => serde_json::from_slice(bytes)
            .map_err(|error| ClientError::Answer { call: call.what.clone(), cause: error.to_string() })?,
    };
    let next = received.headers.get(LINK).and_then(|link| link.to_str().ok());
    let next = next.and_then(|link| call::next_page(link, base));
    Ok(Answer { status: received.status.as_u16(), body, next })
}

/// The path on the same server that an object has moved to, such as a renamed repository.
/// <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects>
fn moved(received: &Received, base: &str) -> Option<String> {
    let place = match received.status.as_u16() {
        301 | 302 | 307 | 308 => header(&received.headers, "location")?,
        _ => return None,
    };
    // Elsewhere the token is not for.
    place.strip_prefix(base).filter(|path| path.starts_with('/')).map(str::to_owned)
}

/// What a refusal says, with the fields that it finds wrong.
fn message_of(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Json>(body) {
        Ok(said) => {
            let message = said["message"].as_str().unwrap_or("no reason").to_owned();
            match &said["errors"] {
                Json::Null => message,
                errors => format!("{message} {errors}"),
            }
        }
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    text.chars().take(MAX_MESSAGE).collect()
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
