//! What a sandbox begins with, and who works on it.

use std::collections::BTreeSet;

use super::switches::Switches;
use crate::secret::Secret;

/// The user id of the sandbox's own account.
pub const USER_ID: &str = "rotator-account";

/// The user id of whoever changes something through the [`Sandbox`](super::Sandbox) handle or its control paths,
/// where none is named.
pub const SOMEBODY_ELSE: &str = "somebody-else";

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
