//! The client of Flashback's API.
//!
//! Every request goes through the upstream and is authorised by the session. A 401 signs in again once
//! and repeats the request; a second one is the sign-in's failure and not the key's.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use http::Method;

use super::account;
use super::answer;
use super::exchange::{Call, Exchange};
use super::reader::{Identity, List, Reader, Whole};
use super::session::{Access, Session};
use super::{Account, Flashback, FlashbackError, Listing, Update, Validation};
use super::{second_factor, updates, wire};
use crate::model::{AiLlmId, Listed, Settings, TargetKind, WorkspaceId};
use crate::secret::{Credentials, Secret};
use crate::upstream::Upstream;

pub use super::sign_in::Auth;

/// The time limit for Flashback to try a key at its provider. It is below the upstream's own limit, after which
/// Flashback would count as unavailable.
const VALIDATION: Duration = Duration::from_secs(18);

/// Flashback, over HTTP.
pub struct Client {
    exchange: Arc<Exchange>,
    session: Session,
}

impl Client {
    /// Makes a client of the API at `base_url`; nothing is sent yet.
    ///
    /// # Errors
    /// Returns [`FlashbackError::Unavailable`] if `base_url` is no HTTP address, or the machine has no
    /// CA certificates.
    pub fn new(
        base_url: &str,
        auth: Auth,
        upstream: Arc<Upstream>,
    ) -> Result<Self, FlashbackError> {
        Self::of_replica(base_url, auth, upstream, None)
    }

    /// Makes a client that names its replica in the `User-Agent` of each request.
    ///
    /// # Errors
    /// Returns the errors of [`new`](Self::new).
    pub fn of_replica(
        base_url: &str,
        auth: Auth,
        upstream: Arc<Upstream>,
        replica: Option<&str>,
    ) -> Result<Self, FlashbackError> {
        let exchange = Arc::new(Exchange::new(base_url, upstream, replica)?);
        let session = Session::new(auth, Arc::clone(&exchange));
        Ok(Self { exchange, session })
    }

    /// Makes a call with the access of the moment, and once more with another where that is refused.
    async fn send<R: Reader>(
        &self,
        operation: &'static str,
        call: &Call<'_>,
        reader: R,
    ) -> Result<R::Read, FlashbackError> {
        self.try_twice(operation, call, &reader)
            .await
            .map_err(|error| self.session.explained(error))
    }

    async fn try_twice<R: Reader>(
        &self,
        operation: &'static str,
        call: &Call<'_>,
        reader: &R,
    ) -> Result<R::Read, FlashbackError> {
        let access = self.session.access().await?;
        match self
            .attempt(operation, call, &access, Chance::First, reader)
            .await
        {
            Err(FlashbackError::Refused { status: 401, .. }) => {}
            other => return other,
        }
        let access = self.session.renewed(&access).await?;
        self.attempt(operation, call, &access, Chance::Last, reader)
            .await
    }

    async fn attempt<R: Reader>(
        &self,
        operation: &'static str,
        call: &Call<'_>,
        access: &Arc<Access>,
        chance: Chance,
        reader: &R,
    ) -> Result<R::Read, FlashbackError> {
        let exchange = async {
            match self.exchange.send(call, Some(&access.token), reader).await {
                Err(asked) if second_factor::is_asked(&asked) => {
                    let last = matches!(chance, Chance::Last);
                    Err(self.session.second_factor(access, asked, last))
                }
                Err(FlashbackError::Refused { status: 401, what }) => Err(match chance {
                    Chance::First => self.session.refused(access).await,
                    Chance::Last => {
                        let what = format!("a fresh access token was refused (401): {what}");
                        self.session.give_up(access, &what, "401")
                    }
                }),
                other => {
                    if known(&other) {
                        self.session.accepted(access);
                    }
                    other
                }
            }
        };
        self.exchange.upstream.call(operation, exchange).await
    }

    /// Returns `true` if the workspace's list can be read as a whole, and has no such id.
    async fn is_unlisted(&self, id: &AiLlmId, settings: &Settings) -> bool {
        let kind = settings.target.kind();
        let listing = self.list(&settings.workspace_id, kind).await;
        listing.is_ok_and(|listing| {
            listing.unreadable.is_empty() && listing.entries.iter().all(|listed| listed.id != *id)
        })
    }

    /// Finds by its name what a `POST` has created whose answer had no usable id.
    async fn look_up(&self, settings: &Settings) -> Result<AiLlmId, FlashbackError> {
        let kind = settings.target.kind();
        let listing = self.list(&settings.workspace_id, kind).await;
        let entries = listing.map(|listing| listing.entries).unwrap_or_default();
        let named = |listed: &Listed| listed.appearance.name == settings.name;
        let mut found = entries.into_iter().filter(named);
        match (found.next(), found.next()) {
            (Some(made), None) => Ok(made.id),
            _ => Err(FlashbackError::Faulty {
                what: format!(
                    "Flashback has taken the {}, but its answer has no id that can be used, and it \
                     is not found by its name",
                    kind.noun()
                ),
                status: "bad_answer".to_owned(),
                retry_after: None,
            }),
        }
    }
}

/// Returns `true` if an answer shows that Flashback accepted the access token.
fn known<T>(result: &Result<T, FlashbackError>) -> bool {
    matches!(
        result,
        Ok(_) | Err(FlashbackError::Refused { .. } | FlashbackError::NotFound { .. })
    )
}

/// The reaction of a call to a 401.
#[derive(Clone, Copy)]
enum Chance {
    /// It signs in again.
    First,
    /// It fails.
    Last,
}

fn secrets(credentials: &Credentials) -> Vec<&Secret> {
    credentials
        .key
        .iter()
        .chain([&credentials.secret])
        .collect()
}

/// Returns the path of a kind of target, and the field that holds the id in the answer to its creation.
fn place(kind: TargetKind) -> (&'static [&'static str], &'static str) {
    match kind {
        TargetKind::Configuration => (&["ai", "llm"], "aiLlmId"),
        TargetKind::StoredKey => (&["apikeys"], "apiKeyId"),
    }
}

/// Returns the name of an operation in metrics.
fn operation(kind: TargetKind, names: [&'static str; 2]) -> &'static str {
    match kind {
        TargetKind::Configuration => names[0],
        TargetKind::StoredKey => names[1],
    }
}

#[async_trait]
impl Flashback for Client {
    async fn list(
        &self,
        workspace: &WorkspaceId,
        kind: TargetKind,
    ) -> Result<Listing, FlashbackError> {
        let call = Call {
            workspace: Some(workspace.as_str()),
            ..Call::new(Method::GET, place(kind).0)
        };
        let operation = operation(kind, ["list", "list_stored_keys"]);
        self.send(operation, &call, List { workspace, kind }).await
    }

    async fn create(
        &self,
        settings: &Settings,
        credentials: &Credentials,
    ) -> Result<AiLlmId, FlashbackError> {
        let kind = settings.target.kind();
        let (path, id) = place(kind);
        let call = Call {
            body: Some(wire::create_body(settings, credentials)),
            sent: secrets(credentials),
            ..Call::new(Method::POST, path)
        };
        let operation = operation(kind, ["create", "create_stored_key"]);
        let read = |body: &[u8], sent: &[&Secret]| answer::read_created(body, id, sent);
        match self.send(operation, &call, Whole(read)).await? {
            Some(id) => Ok(id),
            None => self.look_up(settings).await,
        }
    }

    async fn update(
        &self,
        id: &AiLlmId,
        settings: &Settings,
        credentials: &Credentials,
    ) -> Result<(), FlashbackError> {
        let kind = settings.target.kind();
        let path = [place(kind).0, &[id.as_str()]].concat();
        let call = Call {
            body: Some(wire::update_body(settings, credentials)),
            sent: secrets(credentials),
            ..Call::new(Method::PUT, &path)
        };
        let operation = operation(kind, ["update", "update_stored_key"]);
        let read = |body: &[u8], _: &[&Secret]| answer::read_updated(body);
        match self.send(operation, &call, Whole(read)).await {
            // Not in the API's words: its list decides.
            Err(FlashbackError::Faulty { what, status, .. })
                if status == "404" && self.is_unlisted(id, settings).await =>
            {
                Err(FlashbackError::NotFound { what })
            }
            other => other,
        }
    }

    async fn delete(&self, id: &AiLlmId, kind: TargetKind) -> Result<(), FlashbackError> {
        let path = [place(kind).0, &[id.as_str()]].concat();
        let operation = operation(kind, ["delete", "delete_stored_key"]);
        let read = |body: &[u8], _: &[&Secret]| answer::read_updated(body);
        let call = Call::new(Method::DELETE, &path);
        self.send(operation, &call, Whole(read)).await
    }

    async fn validate(&self, id: &AiLlmId) -> Result<Validation, FlashbackError> {
        let path = ["ai", "llm", id.as_str(), "validate"];
        let call = Call {
            relays: Some(VALIDATION),
            ..Call::new(Method::POST, &path)
        };
        self.send("validate", &call, Whole(answer::read_validated))
            .await
    }

    async fn account(&self) -> Result<Account, FlashbackError> {
        let call = Call::new(Method::GET, &["user", "profile"]);
        match self.send("account", &call, Whole(account::read)).await {
            Err(FlashbackError::NotFound { .. }) => Ok(Account::default()),
            other => other,
        }
    }

    async fn updates(
        &self,
        workspace: &WorkspaceId,
        since: Option<DateTime<Utc>>,
    ) -> Result<Vec<Update>, FlashbackError> {
        let mut all = Vec::new();
        let mut skip = 0;
        for _ in 0..updates::MOST_PAGES {
            let call = Call {
                body: Some(updates::body(workspace, since, skip)),
                ..Call::new(Method::POST, &["systemevent"])
            };
            let page = self.send("events", &call, Whole(updates::read)).await?;
            skip += page.length;
            all.extend(page.updates);
            let whole = page.length >= updates::PAGE;
            if !page.total.map_or(whole, |total| skip < total) || page.length == 0 {
                break;
            }
        }
        Ok(all)
    }

    fn circuit_open(&self) -> Option<FlashbackError> {
        let error = self.exchange.upstream.circuit_open()?;
        Some(self.session.explained(error))
    }

    /// Signs in. A denial of the list is a success too, because an account may write where it may not list.
    async fn sign_in(&self) -> Result<String, FlashbackError> {
        let call = Call {
            identifies: true,
            ..Call::new(Method::GET, &["ai", "llm"])
        };
        match self.send("list", &call, Identity).await {
            Ok(())
            | Err(FlashbackError::Refused { status: 403, .. } | FlashbackError::NotFound { .. }) => {
                Ok(match self.session.method() {
                    "token" => "the token was accepted".to_owned(),
                    method => format!("signed in ({method})"),
                })
            }
            Err(error) => Err(error),
        }
    }
}
