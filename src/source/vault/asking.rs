//! Repeats a request with a new token if the first one was no longer valid.

use std::sync::Arc;

use super::keeper::Keeper;
use super::token::Token;
use crate::source::contract::SourceError;

/// A request and the token it is made with.
pub(super) struct Asking<'a> {
    keeper: &'a Keeper,
    token: Arc<Token>,
    is_second: bool,
}

impl<'a> Asking<'a> {
    /// Starts with this token.
    pub(super) fn new(keeper: &'a Keeper, token: Arc<Token>) -> Self {
        Self {
            keeper,
            token,
            is_second: false,
        }
    }

    /// Returns the token to use.
    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    /// Returns `true` if an answer is final. If it is a denial because the token is no longer valid, the token is
    /// replaced, and the request must be repeated.
    pub(super) async fn is_over<T>(
        &mut self,
        answer: &Result<T, SourceError>,
    ) -> Result<bool, SourceError> {
        let Err(SourceError::Denied { .. }) = answer else {
            return Ok(true);
        };
        let keeper = self.keeper;
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
