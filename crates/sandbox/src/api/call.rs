//! A call to the API: its caller and its content.

use crate::contract::{Answer, Fields};
use crate::options::USER_ID;
use crate::records::{Digests, Event, Platform};
use crate::switches::Switches;

/// The lowest role of an organization's OWNER or ADMINISTRATOR.
const ADMINISTRATOR: u8 = 0xfe;

/// A call that was admitted and whose fields were checked.
pub struct Call<'a> {
    pub platform: &'a mut Platform,
    pub switches: &'a Switches,
    /// The id of the calling user.
    pub user_id: &'a str,
    /// The bearer token of the call; empty if there was none.
    pub bearer: &'a str,
    /// The id in the path; empty if the path has none.
    pub id: &'a str,
    pub query: Fields,
    pub body: Fields,
}

impl Call<'_> {
    /// Checks that the caller may access a workspace. Only the sandbox's own account is restricted.
    ///
    /// # Errors
    /// A 403 if it may not.
    pub fn enter(&self, workspace: &str) -> Result<(), Answer> {
        match &self.platform.workspaces {
            Some(known) if self.user_id == USER_ID && !known.contains(workspace) => {
                let message = "You have no access to this workspace";
                Err(Answer::error(403, "FORBIDDEN", message))
            }
            _ => Ok(()),
        }
    }

    /// Checks that the caller may access the workspace in the query, and returns it if there is one.
    ///
    /// # Errors
    /// A 403 if it may not.
    pub fn enter_queried(&self) -> Result<Option<&str>, Answer> {
        let workspace = self.query.text("workspaceId");
        workspace.map_or(Ok(()), |id| self.enter(id))?;
        Ok(workspace)
    }

    /// Returns `true` if the caller may see what other users did.
    pub fn is_administrator(&self) -> bool {
        self.switches.org_role >= ADMINISTRATOR
    }

    /// Checks credentials that are about to be written, if [`Switches::refuse_writes`] is on.
    ///
    /// # Errors
    /// A 400 if the provider refuses them.
    pub fn check_credentials(&self, digests: &Digests) -> Result<(), Answer> {
        let refused = |secret: &String| self.switches.refused_secrets.contains(secret);
        if self.switches.refuse_writes && digests.secret.as_ref().is_some_and(refused) {
            let message = "The provider does not accept these credentials";
            return Err(Answer::bad(message));
        }
        Ok(())
    }

    /// Records an event caused by the caller.
    pub fn write_event(
        &mut self,
        context: &'static str,
        event: &'static str,
        context_id: &str,
        workspace_id: &str,
    ) {
        self.platform.events.write(Event {
            context,
            event,
            context_id: context_id.to_owned(),
            workspace_id: workspace_id.to_owned(),
            user_id: self.user_id.to_owned(),
        });
    }
}
