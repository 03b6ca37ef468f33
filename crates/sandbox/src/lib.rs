//! A Flashback in memory, with which alerts can be tried and tests can run without the real service.
//!
//! It implements the API of AI LLM configurations, stored provider keys, the account and system events, and
//! has switches that make it slow, failing, odd or forgetful.
//!
//! It keeps no credentials: of a key or secret it is sent, only the SHA-256 remains. Its requests and records
//! can be inspected, and its switches changed, from Rust through the [`Sandbox`] handle and over HTTP below
//! `/_sandbox/` (`GET /_sandbox` describes how). Those paths require no token, so bind it to the loopback
//! address.
//!
//! [`provider`] is the other end of a rotation: the administrative API of a provider of keys.
//!
//! A request enters at `server`, is recorded in the `journal`, and is either answered by a fault or checked
//! against the `contract` and carried out by its handler in `api` on the `records`.

mod api;
mod connection;
mod contract;
mod control;
mod faults;
mod journal;
mod odd;
mod options;
pub mod provider;
mod records;
mod server;
mod shared;
mod switches;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::contract::Answer;
use self::shared::{Asked, Shared};
use flashback_rotator_core::secret::Secret;

pub use self::contract::Operation;
pub use self::faults::{Fault, Rule};
pub use self::journal::Entry;
pub use self::odd::{OddEntry, Oddity};
pub use self::options::{Account, Options, SOMEBODY_ELSE, USER_ID};
pub use self::records::{Shown, ShownKey, sha256_hex};
pub use self::switches::{InlineOnStored, Seed, Switches};

/// A running sandbox. It stops when it is dropped.
pub struct Sandbox {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Serves on `listener` until the sandbox is dropped or [shut down](Self::shutdown).
    ///
    /// # Errors
    /// The error of the listener if it has no address.
    pub fn start(listener: TcpListener, options: Options) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(options));
        let stop = CancellationToken::new();
        let task = tokio::spawn(server::serve(listener, Arc::clone(&shared), stop.clone()));
        Ok(Self {
            address,
            shared,
            stop,
            task: Some(task),
        })
    }

    /// Returns the address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its URL, for the setting `base_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes the switches.
    pub fn change(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.shared.switches());
    }

    /// Adds a fault.
    pub fn fail(&self, rule: Rule) {
        self.change(|switches| switches.faults.push(rule));
    }

    /// Removes every fault.
    pub fn heal(&self) {
        self.change(|switches| switches.faults.clear());
    }

    /// Returns every request in its journal, in the order of arrival.
    pub fn journal(&self) -> Vec<Entry> {
        self.shared.journal().entries(0)
    }

    /// Returns every configuration, oldest first.
    pub fn configurations(&self) -> Vec<Shown> {
        self.shared.platform().shown()
    }

    /// Returns every stored key, oldest first.
    pub fn stored_keys(&self) -> Vec<ShownKey> {
        self.shared.platform().shown_keys()
    }

    /// Creates a configuration as [another user](SOMEBODY_ELSE), and returns its id. The body is that of
    /// `POST /ai/llm`, without the workspace.
    ///
    /// # Panics
    /// If the API refuses the body; the message is the API's.
    pub fn insert(&self, workspace: &str, body: Value) -> String {
        self.create_as_somebody(Operation::Create, "aiLlmId", workspace, body)
    }

    /// Creates a stored key as [another user](SOMEBODY_ELSE), and returns its id. The body is that of `POST
    /// /apikeys`, without the workspace.
    ///
    /// # Panics
    /// If the API refuses the body; the message is the API's.
    pub fn create_stored_key(&self, workspace: &str, body: Value) -> String {
        self.create_as_somebody(Operation::CreateStoredKey, "apiKeyId", workspace, body)
    }

    /// Edits a configuration as another user with the body of `PUT /ai/llm/{id}`. Returns whether the API
    /// accepted it.
    pub fn edit(&self, ai_llm_id: &str, user_id: &str, body: Value) -> bool {
        let answer = self.carry_out_as(user_id, Operation::Update, Some(ai_llm_id), body);
        answer.status == 200
    }

    /// Edits a stored key as another user with the body of `PUT /apikeys/{uuid}`. Returns whether the API
    /// accepted it.
    pub fn edit_stored_key(&self, api_key_id: &str, user_id: &str, body: Value) -> bool {
        let id = Some(api_key_id);
        let answer = self.carry_out_as(user_id, Operation::UpdateStoredKey, id, body);
        answer.status == 200
    }

    fn create_as_somebody(
        &self,
        operation: Operation,
        id: &str,
        workspace: &str,
        mut body: Value,
    ) -> String {
        body["workspaceId"] = Value::from(workspace);
        let answer = self.carry_out_as(SOMEBODY_ELSE, operation, None, body);
        match answer.body[id].as_str() {
            Some(id) => id.to_owned(),
            None => panic!("the sandbox refuses it: {}", answer.body["message"]),
        }
    }

    fn carry_out_as(
        &self,
        user_id: &str,
        operation: Operation,
        id: Option<&str>,
        body: Value,
    ) -> Answer {
        let asked = Asked {
            id: id.map(str::to_owned),
            body: match body {
                Value::Object(body) => Some(body),
                _ => None,
            },
            ..Asked::default()
        };
        self.shared.carry_out_as(user_id, operation, &asked)
    }

    /// Deletes a configuration as [another user](SOMEBODY_ELSE). Returns whether it existed.
    pub fn remove(&self, ai_llm_id: &str) -> bool {
        let mut platform = self.shared.platform();
        platform.remove_configuration(ai_llm_id, SOMEBODY_ELSE)
    }

    /// Attaches a configuration to a repository, so that it cannot be deleted. Returns whether it exists.
    pub fn attach(&self, ai_llm_id: &str, repository: &str) -> bool {
        let mut platform = self.shared.platform();
        platform.configurations.attach(ai_llm_id, repository)
    }

    /// Changes the bearer token that is always valid.
    pub fn replace_token(&self, token: Option<Secret>) {
        self.shared.platform().accounts.replace_token(token);
    }

    /// Revokes every access token issued by a sign-in.
    pub fn revoke_access(&self) {
        self.shared.platform().accounts.revoke_access();
    }

    /// Revokes every refresh token.
    pub fn revoke_refresh(&self) {
        self.shared.platform().accounts.revoke_refresh();
    }

    /// Issues a refresh token, as a login would.
    pub fn issue_refresh_token(&self) -> Secret {
        Secret::new(self.shared.platform().accounts.issue_refresh())
    }

    /// Stops the sandbox: closes the listener and cuts every connection.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
