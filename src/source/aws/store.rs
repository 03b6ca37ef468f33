//! Writes new credentials into a secret, as a version of its own that then becomes the current one.
//!
//! `PutSecretValue` adds the version under the token of the caller, which becomes its id, so that a repeated call adds no
//! second one. It gets the staging label `FLASHBACK_PENDING` and is current for nobody yet. `UpdateSecretVersionStage` then
//! moves `AWSCURRENT` from the version that is expected, and fails if the label is elsewhere: of two writers one is told
//! of the other. AWS moves `AWSPREVIOUS` to the version before by itself. `AWSPENDING` is not used, because a rotation
//! Lambda does
//! (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html>,
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html>).
//!
//! The first version of a secret is current at once, which AWS does by itself.

use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use zeroize::{Zeroize as _, Zeroizing};

use super::calls::{CURRENT, Calls, ID_LENGTH, holder, version};
use super::error::{Answer, Call, PUT};
use crate::document::{self, Malformed};
use crate::model::{Missing, Version};
use crate::source::contract::SourceError;
use crate::source::replacement::{Replacement, StoreOutcome};
use crate::upstream::Failure as _;

/// The staging label of a version that is to become current.
const PENDING: &str = "FLASHBACK_PENDING";

/// Writes new credentials.
pub(super) async fn store(
    calls: &Calls,
    path: &str,
    new: &Replacement<'_>,
) -> Result<StoreOutcome, SourceError> {
    if !ID_LENGTH.contains(&new.token.len()) {
        return Err(invalid(
            "the token of a new version has 32 to 64 characters",
        ));
    }
    let secret = match Box::pin(calls.described(path)).await? {
        Ok(secret) => secret,
        Err(Missing::NotFound) if new.expected.is_none() => {
            return Err(invalid(
                "there is no such secret, and a rotation makes none: create it first, without a value",
            ));
        }
        Err(_) => return Ok(StoreOutcome::Conflict),
    };
    let expected = new.expected.map(Version::as_str);
    if holder(&secret, CURRENT) != expected {
        return Box::pin(conclude(calls, path, new, &secret)).await;
    }
    let text = match expected {
        Some(id) => match Box::pin(text_of(calls, path, id)).await? {
            Some(text) => Some(text),
            None => return Ok(StoreOutcome::Conflict),
        },
        None => None,
    };
    let text = text.as_ref().map(|text| text.as_str());
    let text =
        document::rewritten(text, new.fields, new.credentials).map_err(SourceError::Malformed)?;
    if !Box::pin(put(calls, path, new.token, &text)).await? {
        return Ok(StoreOutcome::Conflict);
    }
    let moved = calls.move_label(path, CURRENT, expected, Some(new.token));
    let refused = match Box::pin(moved).await {
        Ok(Answer::Value(_)) => {
            Box::pin(clear(calls, path, new.token)).await;
            return Ok(StoreOutcome::Stored(version(new.token)?));
        }
        Ok(Answer::NotFound | Answer::WrongState) => None,
        // The label is not where it was said to be, or there is no saying what has happened.
        Err(error @ SourceError::Protocol { .. }) => Some(error),
        Err(error) => return Err(error),
    };
    match Box::pin(calls.described(path)).await? {
        Ok(now) if holder(&now, CURRENT) != expected => {
            Box::pin(conclude(calls, path, new, &now)).await
        }
        Ok(_) => Err(refused
            .filter(|error| error.status() != "400")
            .unwrap_or_else(|| invalid("AWS does not make the new version the current one"))),
        Err(_) => Ok(StoreOutcome::Conflict),
    }
}

/// Checks, without writing, that nothing speaks against it: a service of AWS that owns a secret does not let others write
/// it. Whether the policy allows to write can only be told by writing.
pub(super) async fn may_store(calls: &Calls, path: &str) -> Result<(), SourceError> {
    let Ok(secret) = calls.described(path).await? else {
        return Ok(());
    };
    match secret.owning_service() {
        None | Some("") => Ok(()),
        Some(_) => Err(invalid(
            "it is managed by another service of AWS, which does not let it be written",
        )),
    }
}

/// Returns the outcome where another version is current than the one that was expected: it is ours, if an earlier call
/// was answered by nobody.
async fn conclude(
    calls: &Calls,
    path: &str,
    new: &Replacement<'_>,
    secret: &DescribeSecretOutput,
) -> Result<StoreOutcome, SourceError> {
    if holder(secret, PENDING) == Some(new.token) {
        clear(calls, path, new.token).await;
    }
    if holder(secret, CURRENT) == Some(new.token) {
        return Ok(StoreOutcome::Stored(version(new.token)?));
    }
    Ok(StoreOutcome::Conflict)
}

/// Returns the text of a version; `None` if it is gone.
async fn text_of(
    calls: &Calls,
    path: &str,
    id: &str,
) -> Result<Option<Zeroizing<String>>, SourceError> {
    let Answer::Value(value) = calls.get(path, Some(&Version::new(id))).await? else {
        return Ok(None);
    };
    let GetSecretValueOutput {
        secret_string,
        secret_binary,
        ..
    } = value;
    if let Some(bytes) = secret_binary {
        bytes.into_inner().zeroize();
        if secret_string.is_none() {
            return Err(SourceError::Malformed(Malformed::Binary));
        }
    }
    Ok(secret_string.map(Zeroizing::new))
}

/// Adds a version. Returns `false` if the secret is gone.
async fn put(calls: &Calls, path: &str, token: &str, text: &str) -> Result<bool, SourceError> {
    let call = Call {
        operation: PUT,
        path,
    };
    let put = calls
        .ask(call, |client| {
            client
                .put_secret_value()
                .secret_id(path)
                .client_request_token(token)
                .secret_string(text)
                .version_stages(PENDING)
                .send()
        })
        .await?;
    Ok(matches!(put, Answer::Value(_)))
}

/// Removes the label of a version under way. A failure costs nothing: the label changes no reading, and the next rotation
/// moves it.
async fn clear(calls: &Calls, path: &str, token: &str) {
    let _ = calls.move_label(path, PENDING, Some(token), None).await;
}

fn invalid(what: &str) -> SourceError {
    SourceError::Invalid {
        what: what.to_owned(),
    }
}
