//! The initial contents of a sandbox, and its users.

use std::collections::BTreeSet;

use super::switches::Switches;
use flashback_rotator_core::secret::Secret;

/// The user id of the sandbox's own account.
pub const USER_ID: &str = "rotator-account";

/// The user id for changes through the [`Sandbox`](super::Sandbox) handle or the control paths when no user
/// is named.
pub const SOMEBODY_ELSE: &str = "somebody-else";

/// The initial contents and settings of a sandbox.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A bearer token that is always valid.
    pub token: Option<Secret>,
    /// The one account that can log in.
    pub account: Option<Account>,
    /// The workspaces that exist; `None` for any. Access to another one is a 403.
    pub workspaces: Option<BTreeSet<String>>,
    /// The initial switches.
    pub switches: Switches,
}

/// An account. If a sandbox has neither a token nor an account, every login and every bearer token is valid.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its email address.
    pub email: Secret,
    /// Its password.
    pub password: Secret,
}
