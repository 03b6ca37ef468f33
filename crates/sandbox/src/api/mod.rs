//! The handlers of the operations.

mod call;
mod configurations;
mod events;
mod stored_keys;
mod users;

use super::contract::{Handled, Operation};

pub(super) use self::call::Call;

/// Carries out a call.
pub(super) fn handle(operation: Operation, call: &mut Call<'_>) -> Handled {
    match operation {
        Operation::List => configurations::list(call),
        Operation::Available => configurations::available(call),
        Operation::Stats => configurations::stats(call),
        Operation::Create => configurations::create(call),
        Operation::Update => configurations::update(call),
        Operation::Delete => configurations::delete(call),
        Operation::Validate => configurations::validate(call),
        Operation::ListStoredKeys => stored_keys::list(call),
        Operation::CreateStoredKey => stored_keys::create(call),
        Operation::UpdateStoredKey => stored_keys::update(call),
        Operation::DeleteStoredKey => stored_keys::delete(call),
        Operation::Login => users::login(call),
        Operation::Refresh => users::refresh(call),
        Operation::Logout => users::logout(call),
        Operation::Profile => users::profile(call),
        Operation::VerifyLogin => users::verify_login(call),
        Operation::SystemEvents => events::list(call),
    }
}
