//! What is plainly no key of its provider.

use crate::model::Settings;
use crate::secret::Credentials;

/// Says what is wrong with credentials that cannot be what they are stored as.
///
/// # Errors
/// What is wrong, for people; never a value.
pub fn check(settings: &Settings, credentials: &Credentials) -> Result<(), String> {
    let _ = (settings, credentials);
    Ok(())
}
