//! Asking with a token, and once more with another where the first was dead.

use std::sync::Arc;

use super::VaultSource;
use super::token::Token;
use crate::source::SourceError;

/// One question, for as long as it takes.
pub(super) struct Asking<'a> {
    source: &'a VaultSource,
    token: Arc<Token>,
    is_second: bool,
}

impl VaultSource {
    /// Begins with the token in use.
    pub(super) async fn asking(&self) -> Result<Asking<'_>, SourceError> {
        Ok(Asking {
            source: self,
            token: self.token().await?,
            is_second: false,
        })
    }
}

impl Asking<'_> {
    /// The token to ask with.
    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    /// Whether an answer is the last one. Where it is a denial because the token is dead, there is
    /// another token now, and the question is to be asked again.
    pub(super) async fn is_over<T>(
        &mut self,
        answer: &Result<T, SourceError>,
    ) -> Result<bool, SourceError> {
        let Err(SourceError::Denied { .. }) = answer else {
            return Ok(true);
        };
        let keeper = &self.source.keeper;
        if self.is_second {
            keeper.vet(&self.token).await;
            return Ok(true);
        }
        let Some(fresh) = keeper.doubt(&self.token).await? else {
            return Ok(true);
        };
        self.token = fresh;
        self.is_second = true;
        Ok(false)
    }
}
