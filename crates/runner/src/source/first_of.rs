//! Several sources of `actions/checkout`, asked in turn.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::AsyncRead;

use crate::{CheckoutRequest, SourceError, SourceProvider};

/// The first of these that has what is asked for.
pub struct FirstOf(pub Vec<Arc<dyn SourceProvider>>);

#[async_trait]
impl SourceProvider for FirstOf {
    async fn archive(
        &self,
        request: &CheckoutRequest,
    ) -> Result<Option<Box<dyn AsyncRead + Send + Unpin>>, SourceError> {
        for source in &self.0 {
            if let Some(archive) = source.archive(request).await? {
                return Ok(Some(archive));
            }
        }
        Ok(None)
    }
}
