//! Who may: checked before anything else of a request is read.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use model::Timestamp;

use super::error::ApiError;
use crate::auth::{CSRF_HEADER, Role, changes};
use crate::server::Shared;

/// Lets a request through whose sender has the role, and tells the handler who it is.
pub(super) async fn pass(
    State((shared, role)): State<(Arc<Shared>, Role)>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let headers = request.headers();
    let principal = shared.auth.identify(headers, Timestamp::now()).await?;
    principal.needs(role)?;
    if changes(request.method()) {
        let csrf = headers.get(CSRF_HEADER).and_then(|csrf| csrf.to_str().ok());
        principal.may_change(headers, csrf)?;
    }
    request.extensions_mut().insert(principal);
    let mut response = next.run(request).await;
    // What one may see, the next one at the same browser or proxy may not.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
