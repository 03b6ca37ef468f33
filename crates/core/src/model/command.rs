//! What a person asks for.

use super::RotateCommand;

/// A command by a person for a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyCommand {
    /// No command.
    #[default]
    None,
    /// Push the source's version even if it is unchanged, was refused or is held.
    Force,
    /// Restore the previous version and hold the newest.
    RollBack,
    /// Rotate the key at its provider.
    Rotate(RotateCommand),
}
