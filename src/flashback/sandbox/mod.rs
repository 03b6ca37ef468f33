//! A Flashback in memory: the whole contract of its AI LLM configurations, and switches that make
//! it slow, failing or forgetful, so that alerts can be tried and promises tested.
//!
//! It keeps no credential: of a key or secret it is given, only the SHA-256 remains. What it was
//! asked and what it holds can be looked at, and its switches turned, from Rust through the
//! [`Sandbox`] handle and over HTTP below `/_sandbox/` (`GET /_sandbox` says how). Those paths ask
//! for no token: bind it to the loopback address.

mod connection;
mod control;
mod fields;
mod journal;
mod platform;
mod server;
mod switches;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::server::House;
use crate::secret::Secret;

pub use self::fields::sha256_hex;
pub use self::journal::Entry;
pub use self::platform::Shown;
pub use self::switches::{Fault, Operation, Rule, Switches};

/// What a sandbox begins with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A bearer token that is always good.
    pub token: Option<Secret>,
    /// The one account that can log in.
    pub account: Option<Account>,
    /// The workspaces there are; `None` for any. Another is a 403.
    pub workspaces: Option<BTreeSet<String>>,
    /// How the switches stand at first.
    pub switches: Switches,
}

/// An account. Where a sandbox has neither token nor account, every login and every bearer is
/// good.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its e-mail address.
    pub email: Secret,
    /// Its password.
    pub password: Secret,
}

/// A running sandbox. It stops when it is dropped.
pub struct Sandbox {
    address: SocketAddr,
    house: Arc<House>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Serves on `listener` until it is dropped or [shut down](Self::shutdown).
    ///
    /// # Errors
    /// Where the listener has no address.
    pub fn start(listener: TcpListener, options: Options) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let house = Arc::new(House::new(options));
        let stop = CancellationToken::new();
        let task = tokio::spawn(server::serve(listener, Arc::clone(&house), stop.clone()));
        Ok(Self {
            address,
            house,
            stop,
            task: Some(task),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to write into `base_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Turns switches.
    pub fn change(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.house.switches());
    }

    /// Adds a fault to those there are.
    pub fn fail(&self, rule: Rule) {
        self.change(|switches| switches.faults.push(rule));
    }

    /// Takes every fault away.
    pub fn heal(&self) {
        self.change(|switches| switches.faults.clear());
    }

    /// Every request there was, in the order in which they came.
    pub fn journal(&self) -> Vec<Entry> {
        self.house.journal().entries(0)
    }

    /// Every configuration there is, oldest first.
    pub fn configurations(&self) -> Vec<Shown> {
        self.house.platform().shown()
    }

    /// Removes a configuration as if somebody had deleted it in Flashback; says whether it was
    /// there.
    pub fn remove(&self, ai_llm_id: &str) -> bool {
        self.house.platform().remove(ai_llm_id)
    }

    /// Lets a repository use a configuration, so that it cannot be deleted; says whether it is
    /// there.
    pub fn attach(&self, ai_llm_id: &str, repository: &str) -> bool {
        self.house.platform().attach(ai_llm_id, repository)
    }

    /// Changes the bearer token that is always good.
    pub fn replace_token(&self, token: Option<Secret>) {
        self.house.platform().replace_token(token);
    }

    /// Ends every access token that a sign-in gave.
    pub fn revoke_access(&self) {
        self.house.platform().revoke_access();
    }

    /// Ends every refresh token.
    pub fn revoke_refresh(&self) {
        self.house.platform().revoke_refresh();
    }

    /// A refresh token, as a login would have given it.
    pub fn issue_refresh_token(&self) -> Secret {
        Secret::new(self.house.platform().issue_refresh())
    }

    /// Stops: the listener is closed and every connection cut.
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

/// The documented life of an access token.
const DOCUMENTED_LIFE: Duration = Duration::from_secs(3600);
