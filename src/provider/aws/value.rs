//! Reads what IAM answers.

use aws_sdk_iam::primitives::DateTime as AwsTime;
use aws_sdk_iam::types::StatusType;
use chrono::{DateTime, Utc};

use super::error::Call;
use crate::model::{IssuedKey, LastUse, ProviderKeyId};
use crate::provider::contract::ProviderError;

/// The longest id of a key (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKey.html>).
const LONGEST_ID: usize = 128;

/// Returns a key of a list.
///
/// # Errors
/// Returns [`ProviderError::Protocol`] if its id cannot be one.
pub fn key_of(
    call: Call<'_>,
    id: &str,
    status: Option<&StatusType>,
    created_at: Option<&AwsTime>,
) -> Result<IssuedKey, ProviderError> {
    Ok(IssuedKey {
        id: key_id(call, id)?,
        name: None,
        created_at: created_at.and_then(time),
        // An expired key is none that works.
        active: status == Some(&StatusType::Active),
        last_use: LastUse::Unknown,
        redacted: None,
    })
}

/// Returns the id of a key: letters, digits and underscores. Ids are kept and shown.
///
/// # Errors
/// Returns [`ProviderError::Protocol`] for any other text.
pub fn key_id(call: Call<'_>, id: &str) -> Result<ProviderKeyId, ProviderError> {
    let is_id = |id: &str| {
        (1..=LONGEST_ID).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match is_id(id) {
        true => Ok(ProviderKeyId::new(id)),
        false => Err(call.malformed("the id of a key has characters that no id has, or too many")),
    }
}

/// Returns what is there.
///
/// # Errors
/// Returns [`ProviderError::Protocol`] if it is not.
pub fn missing<T>(call: Call<'_>, value: Option<T>, name: &str) -> Result<T, ProviderError> {
    value.ok_or_else(|| call.malformed(&format!("it has no {name}")))
}

/// Returns a time of the SDK; `None` for the time zero, which stands in it for one that the answer does not have.
pub fn time(at: &AwsTime) -> Option<DateTime<Utc>> {
    let time = DateTime::from_timestamp(at.secs(), at.subsec_nanos());
    time.filter(|_| at.secs() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Call<'_> = Call {
        operation: "ListAccessKeys",
        user: "u",
        keys: "access keys",
    };

    #[test]
    fn only_an_active_key_is_one_that_works() {
        let active = |status: &str| {
            let status = StatusType::from(status);
            key_of(CALL, "AKIAONE", Some(&status), None).map(|key| key.active)
        };
        assert_eq!(active("Active"), Ok(true));
        for status in ["Inactive", "Expired", "no value was set"] {
            assert_eq!(active(status), Ok(false), "{status}");
        }
    }

    #[test]
    fn an_id_that_cannot_be_kept_is_refused_and_not_repeated() {
        let longest = "A".repeat(LONGEST_ID);
        assert!(key_id(CALL, &longest).is_ok());
        for id in ["", "canary/..", "canary\u{202e}", &format!("{longest}A")] {
            let error = key_id(CALL, id).expect_err("no id").to_string();
            assert!(
                !error.contains("canary") && !error.contains("AAAA"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_time_that_is_missing_is_none() {
        assert_eq!(time(&AwsTime::from_secs(0)), None);
        assert!(time(&AwsTime::from_secs(1_760_000_000)).is_some());
    }
}
