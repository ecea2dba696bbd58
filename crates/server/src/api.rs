//! Everything that the pages do, as JSON: `/api/v1`.
//!
//! [`routes`] is all of it: each with the [`Role`] that it needs. [`OPENAPI`] describes it, and a test holds the two
//! against each other. Times are milliseconds since 1970, UTC.

pub mod error;
pub mod wire;

mod actions;
pub(crate) mod artifacts;
mod caches;
mod deliveries;
mod environments;
pub(crate) mod events;
mod gate;
mod jobs;
mod log;
mod queue;
mod read;
mod repositories;
mod runs;
mod settings;
mod status;

use std::sync::Arc;

use axum::http::{Method, header};
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post, put};
use axum::{Extension, Json, Router};

use crate::auth::{Principal, Role};
use crate::server::Shared;
use wire::Me;

/// The document of all routes (OpenAPI 3.1).
pub const OPENAPI: &str = include_str!("api/openapi.json");

/// Where the document is; it needs no token.
const OPENAPI_PATH: &str = "/api/v1/openapi.json";

/// A route.
pub struct Route {
    /// Its path, as axum and OpenAPI write it.
    pub path: &'static str,
    /// Its method.
    pub method: Method,
    /// Who may.
    pub role: Role,
    handler: MethodRouter<Arc<Shared>>,
}

/// All routes that need a token.
#[must_use]
pub fn routes() -> Vec<Route> {
    let route = |method, path, role, handler| Route { path, method, role, handler };
    let read = |path, handler| route(Method::GET, path, Role::Read, handler);
    let act = |path, handler| route(Method::POST, path, Role::Operate, handler);
    let admin = |method, path, handler| route(method, path, Role::Admin, handler);
    vec![
        read("/api/v1/me", get(me)),
        read("/api/v1/runs", get(runs::list)),
        read("/api/v1/runs/{run}", get(runs::show)),
        read("/api/v1/runs/{run}/attempts", get(runs::attempts)),
        read("/api/v1/runs/{run}/jobs", get(runs::jobs)),
        read("/api/v1/runs/{run}/annotations", get(runs::annotations)),
        read("/api/v1/runs/{run}/artifacts", get(artifacts::of_run)),
        read("/api/v1/runs/{run}/artifacts/{artifact}", get(artifacts::download)),
        route(
            Method::DELETE,
            "/api/v1/runs/{run}/artifacts/{artifact}",
            Role::Operate,
            delete(artifacts::remove),
        ),
        read("/api/v1/runs/{run}/events", get(events::of_run)),
        act("/api/v1/runs/{run}/cancel", post(actions::cancel_run)),
        act("/api/v1/runs/{run}/rerun", post(actions::rerun_run)),
        act("/api/v1/runs/{run}/approve", post(actions::approve)),
        read("/api/v1/jobs/{job}", get(jobs::show)),
        read("/api/v1/jobs/{job}/steps", get(jobs::steps)),
        read("/api/v1/jobs/{job}/log", get(log::lines)),
        read("/api/v1/jobs/{job}/log/text", get(log::text)),
        read("/api/v1/jobs/{job}/log/search", get(log::search)),
        read("/api/v1/jobs/{job}/log/events", get(log::follow)),
        act("/api/v1/jobs/{job}/cancel", post(actions::cancel_job)),
        act("/api/v1/jobs/{job}/rerun", post(actions::rerun_job)),
        act("/api/v1/jobs/{job}/approve", post(actions::approve_job)),
        act("/api/v1/jobs/{job}/reject", post(actions::reject_job)),
        read("/api/v1/repositories", get(repositories::list)),
        read("/api/v1/repositories/{owner}/{name}", get(repositories::show)),
        act("/api/v1/repositories/{owner}/{name}/workflow-dispatch", post(actions::dispatch_workflow)),
        act("/api/v1/repositories/{owner}/{name}/repository-dispatch", post(actions::dispatch_repository)),
        read("/api/v1/repositories/{owner}/{name}/environments", get(environments::list)),
        admin(
            Method::PUT,
            "/api/v1/repositories/{owner}/{name}/environments/{environment}",
            put(environments::set),
        ),
        admin(
            Method::DELETE,
            "/api/v1/repositories/{owner}/{name}/environments/{environment}",
            delete(environments::remove),
        ),
        read("/api/v1/artifacts", get(artifacts::list)),
        read("/api/v1/caches", get(caches::list)),
        route(Method::DELETE, "/api/v1/caches", Role::Operate, delete(caches::remove_by_key)),
        route(Method::DELETE, "/api/v1/caches/{cache}", Role::Operate, delete(caches::remove)),
        read("/api/v1/status", get(status::show)),
        read("/api/v1/queue", get(queue::show)),
        read("/api/v1/events", get(events::all)),
        read("/api/v1/deliveries", get(deliveries::list)),
        route(Method::GET, "/api/v1/deliveries/{delivery}", Role::Operate, get(deliveries::show)),
        act("/api/v1/deliveries/{delivery}/redeliver", post(deliveries::redeliver)),
        admin(Method::GET, "/api/v1/secrets", get(settings::secrets)),
        admin(Method::PUT, "/api/v1/secrets/{name}", put(settings::set_secret)),
        admin(Method::DELETE, "/api/v1/secrets/{name}", delete(settings::remove_secret)),
        admin(Method::GET, "/api/v1/variables", get(settings::variables)),
        admin(Method::PUT, "/api/v1/variables/{name}", put(settings::set_variable)),
        admin(Method::DELETE, "/api/v1/variables/{name}", delete(settings::remove_variable)),
        admin(Method::GET, "/api/v1/tokens", get(settings::tokens)),
        admin(Method::POST, "/api/v1/tokens", post(settings::make_token)),
        admin(Method::DELETE, "/api/v1/tokens/{name}", delete(settings::revoke_token)),
    ]
}

/// The routes, each behind its gate.
pub(crate) fn router(shared: &Arc<Shared>) -> Router<Arc<Shared>> {
    let document = get(async || ([(header::CONTENT_TYPE, "application/json")], OPENAPI));
    routes().into_iter().fold(Router::new().route(OPENAPI_PATH, document), |router, route| {
        let gate = from_fn_with_state((Arc::clone(shared), route.role), gate::pass);
        router.route(route.path, route.handler.route_layer(gate))
    })
}

async fn me(Extension(principal): Extension<Principal>) -> Json<Me> {
    let csrf = principal.session.map(|session| session.csrf);
    Json(Me { name: principal.name, role: principal.role, csrf })
}
