//! The account that is signed in.

use serde_json::Value;

use super::answer::{Odd, parse, usable_id};
use crate::redact::Pieces;
use crate::secret::Secret;

/// The longest user id that is kept; a longer one is taken for unknown.
const LONGEST_USER_ID: usize = 512;

/// The account that the rotator works as, as `GET /user/profile` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Its user id; `None` where Flashback does not tell.
    pub user_id: Option<String>,
    /// Its role in the organisation, 0 to 255; `None` where Flashback does not tell.
    pub org_role: Option<u8>,
}

impl Account {
    /// The lowest role that sees the system events of others, by the platform's reference.
    const SEES_ALL: u8 = 0xfe;

    /// Returns `true` if the account sees the events of other users. Ordinary members see only their own.
    pub fn sees_all_events(&self) -> bool {
        self.org_role.is_some_and(|role| role >= Self::SEES_ALL)
    }
}

/// Reads the answer to `GET /user/profile`, whose profile is in `data`. A field that is missing, or of
/// another type than in the reference, is taken as unknown.
pub(super) fn read(body: &[u8], sent: &[&Secret]) -> Result<Account, Odd> {
    let answer: serde_json::Map<String, Value> = parse(body)?;
    let nested = answer.get("data").and_then(Value::as_object);
    let profile = nested.unwrap_or(&answer);
    let user_id = match profile.get("id") {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let sent = Pieces::of(sent.iter().map(|secret| secret.expose()));
    let usable = |id: &String| id.len() <= LONGEST_USER_ID && usable_id(id, &sent).is_some();
    let org_role = profile.get("orgRole").and_then(Value::as_u64);
    Ok(Account {
        user_id: user_id.filter(usable),
        org_role: org_role.and_then(|role| u8::try_from(role).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(user_id: Option<&str>, org_role: Option<u8>) -> Account {
        Account {
            user_id: user_id.map(str::to_owned),
            org_role,
        }
    }

    #[test]
    fn reads_what_is_there_and_leaves_the_rest_unknown() {
        for (body, expected) in [
            (
                r#"{"success":true,"data":{"id":"u-1","email":"e","orgRole":254}}"#,
                account(Some("u-1"), Some(254)),
            ),
            (
                r#"{"data":{"id":7,"orgRole":"owner"}}"#,
                account(Some("7"), None),
            ),
            (r#"{"id":"u-2","orgRole":300}"#, account(Some("u-2"), None)),
            (r#"{"success":false,"error":"no"}"#, Account::default()),
            (r#"{"data":{"id":".."}}"#, Account::default()),
        ] {
            assert_eq!(read(body.as_bytes(), &[]), Ok(expected), "{body}");
        }
        assert!(read(b"<html>", &[]).is_err());
        assert!(read(b"[]", &[]).is_err());
    }

    #[test]
    fn only_administrators_see_the_events_of_others() {
        assert!(account(None, Some(0xff)).sees_all_events());
        assert!(account(None, Some(0xfe)).sees_all_events());
        assert!(!account(None, Some(0xfd)).sees_all_events());
        assert!(!Account::default().sees_all_events());
    }
}
