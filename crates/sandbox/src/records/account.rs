//! The sandbox's only account: its sign-ins, its tokens and its second factor.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::ORGANISATION;
use crate::contract::{Admits, Answer, Fields, Handled};
use crate::options::{Account, USER_ID};
use crate::switches::Switches;
use flashback_rotator_core::secret::Secret;
use flashback_rotator_core::totp;

/// An access token.
struct Access {
    end: Instant,
    /// `true` if the second factor has not been verified yet.
    limited: bool,
}

/// The account that may sign in, and the tokens issued to it.
pub struct Accounts {
    token: Option<Secret>,
    account: Option<Account>,
    access: HashMap<String, Access>,
    refresh: HashSet<String>,
    /// The time steps whose codes have been used: a code is valid once.
    taken: BTreeSet<u64>,
}

impl Accounts {
    pub fn new(token: Option<Secret>, account: Option<Account>) -> Self {
        Self {
            token,
            account,
            access: HashMap::new(),
            refresh: HashSet::new(),
            taken: BTreeSet::new(),
        }
    }

    /// Checks that a bearer token may call an operation.
    ///
    /// # Errors
    /// A 401 if the token is missing or invalid; a 403 if its second factor has not been verified and the
    /// operation requires that.
    pub fn admit(&self, bearer: Option<&str>, admits: Admits) -> Result<(), Answer> {
        if admits == Admits::Anyone {
            return Ok(());
        }
        let refused = || Answer::error(401, "UNAUTHORIZED", "Invalid or expired token");
        let bearer = bearer.filter(|text| !text.is_empty()).ok_or_else(refused)?;
        if let Some(access) = self.access.get(bearer) {
            return match access {
                Access { end, .. } if Instant::now() >= *end && !self.is_open() => Err(refused()),
                Access { limited: true, .. } if admits == Admits::Full => {
                    let message = "The second factor of this login is still to be verified";
                    Err(Answer::error(403, "MFA_REQUIRED", message))
                }
                _ => Ok(()),
            };
        }
        let is_the_token = self.token.as_ref().is_some_and(|t| t.is(bearer));
        if is_the_token || self.is_open() {
            Ok(())
        } else {
            Err(refused())
        }
    }

    /// Returns `true` if every login and every bearer token is valid.
    fn is_open(&self) -> bool {
        self.token.is_none() && self.account.is_none()
    }

    pub fn login(&mut self, body: &Fields, switches: &Switches) -> Handled {
        let (email, password) = (body.required_text("email"), body.required_text("password"));
        let good = match &self.account {
            Some(account) => account.email.is(email) && account.password.is(password),
            // With a token and no account, no login is valid.
            None => self.token.is_none(),
        };
        if !good {
            let message = "Invalid email or password";
            return Err(Answer::error(401, "INVALID_CREDENTIALS", message));
        }
        Ok(self.issue(switches, switches.enforce_mfa))
    }

    pub fn refresh(&mut self, body: &Fields, switches: &Switches) -> Handled {
        let token = match (body.text("refreshToken"), body.text("refresh_token")) {
            (Some(one), Some(other)) if one != other => None,
            (one, other) => one.or(other),
        };
        if token.is_some_and(|token| self.refresh.remove(token)) {
            return Ok(self.issue(switches, false));
        }
        let message = "Invalid refresh token";
        Err(Answer::error(401, "INVALID_REFRESH_TOKEN", message))
    }

    /// Answers a sign-in. A limited one gets no refresh token, which would bypass the second factor.
    fn issue(&mut self, switches: &Switches, limited: bool) -> Answer {
        let life = Duration::from_millis(switches.token_life_ms);
        let access = self.issue_access(life, limited);
        let expires = SystemTime::now() + life;
        let since = expires.duration_since(SystemTime::UNIX_EPOCH);
        let expires = u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
        let mut body = json!({
            "success": true,
            "tokenId": fresh("token"),
            "user": self.user(switches),
            "accessToken": access,
            "expiresAt": expires,
        });
        if !limited {
            body["refreshToken"] = Value::from(self.issue_refresh());
        }
        Answer::ok(body)
    }

    fn issue_access(&mut self, life: Duration, limited: bool) -> String {
        let now = Instant::now();
        self.access.retain(|_, access| now < access.end);
        let token = fresh("access");
        let end = now + life;
        self.access.insert(token.clone(), Access { end, limited });
        token
    }

    pub fn issue_refresh(&mut self) -> String {
        let token = fresh("refresh");
        self.refresh.insert(token.clone());
        token
    }

    /// Verifies the second factor of the login that issued this bearer token.
    pub fn verify(&mut self, bearer: &str, body: &Fields, switches: &Switches) -> Handled {
        if !self.access.get(bearer).is_some_and(|token| token.limited) {
            return Err(Answer::bad("This token waits for no second factor"));
        }
        if body.text("mfaType") != Some("GOOGLE_AUTH") {
            return Err(Answer::bad(
                "This account has no second factor of that type",
            ));
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        let seed = switches.totp.as_ref();
        let step = seed.and_then(|seed| {
            let code = body.required_text("code");
            totp::check(seed.0.expose(), code, now).ok().flatten()
        });
        if !step.is_some_and(|step| self.taken.insert(step)) {
            return Err(Answer::error(401, "INVALID_MFA_CODE", "Invalid code"));
        }
        self.access.remove(bearer);
        let life = Duration::from_millis(switches.token_life_ms);
        Ok(Answer::ok(json!({
            "success": true,
            "message": "The second factor is verified",
            "fullAccessToken": self.issue_access(life, false),
            "refreshToken": self.issue_refresh(),
        })))
    }

    pub fn logout(&mut self, bearer: &str, body: &Fields) -> Answer {
        self.access.remove(bearer);
        self.refresh.remove(body.required_text("refresh_token"));
        Answer::ok(json!({"success": true}))
    }

    /// Returns the account's user, as the API shows it.
    pub fn user(&self, switches: &Switches) -> Value {
        let (name, email) = self.name_and_email(USER_ID);
        json!({
            "id": USER_ID,
            "email": email,
            "name": name,
            "orgId": ORGANISATION,
            "orgRole": switches.org_role,
            "mfaRequired": switches.enforce_mfa,
        })
    }

    /// Returns a user's name and email address.
    pub fn name_and_email(&self, user_id: &str) -> (String, String) {
        match &self.account {
            Some(account) if user_id == USER_ID => {
                ("Rotator".to_owned(), account.email.expose().to_owned())
            }
            _ => (user_id.to_owned(), format!("{user_id}@sandbox.example")),
        }
    }

    pub fn revoke_access(&mut self) {
        self.access.clear();
    }

    pub fn revoke_refresh(&mut self) {
        self.refresh.clear();
    }

    pub fn replace_token(&mut self, token: Option<Secret>) {
        self.token = token;
    }
}

fn fresh(kind: &str) -> String {
    format!("sandbox-{kind}-{:032x}", rand::random::<u128>())
}
