//! Asking with a token, and once more with another where the first was dead.

use std::sync::Arc;

use super::keeper::Keeper;
use super::token::Token;
use crate::source::contract::SourceError;

/// One question, for as long as it takes.
pub(super) struct Asking<'a> {
    keeper: &'a Keeper,
    token: Arc<Token>,
    is_second: bool,
}

impl<'a> Asking<'a> {
    /// Begins with this token.
    pub(super) fn new(keeper: &'a Keeper, token: Arc<Token>) -> Self {
        Self {
            keeper,
            token,
            is_second: false,
        }
    }

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
