//! A call to the API: who makes it, and with what.

use crate::flashback::sandbox::contract::{Answer, Fields};
use crate::flashback::sandbox::options::USER_ID;
use crate::flashback::sandbox::records::{Digests, Event, Platform};
use crate::flashback::sandbox::switches::Switches;

/// An organisation's OWNER or ADMINISTRATOR has a role from here on.
const ADMINISTRATOR: u8 = 0xfe;

/// One call, let in and its fields checked.
pub struct Call<'a> {
    pub platform: &'a mut Platform,
    pub switches: &'a Switches,
    /// The id of the user who calls.
    pub user_id: &'a str,
    /// The bearer it came with; empty where it came without one.
    pub bearer: &'a str,
    /// The id in its path; empty where the path has none.
    pub id: &'a str,
    pub query: Fields,
    pub body: Fields,
}

impl Call<'_> {
    /// Enters a workspace. Only the sandbox's own account is kept out of any.
    ///
    /// # Errors
    /// A 403 where the account may not.
    pub fn enter(&self, workspace: &str) -> Result<(), Answer> {
        match &self.platform.workspaces {
            Some(known) if self.user_id == USER_ID && !known.contains(workspace) => {
                let message = "You have no access to this workspace";
                Err(Answer::error(403, "FORBIDDEN", message))
            }
            _ => Ok(()),
        }
    }

    /// Enters the workspace that the query names, where it names one.
    ///
    /// # Errors
    /// A 403 where the account may not.
    pub fn enter_queried(&self) -> Result<Option<&str>, Answer> {
        let workspace = self.query.text("workspaceId");
        workspace.map_or(Ok(()), |id| self.enter(id))?;
        Ok(workspace)
    }

    /// Whether the caller sees what others did.
    pub fn is_administrator(&self) -> bool {
        self.switches.org_role >= ADMINISTRATOR
    }

    /// Checks credentials about to be written, where [refusing](Switches::refuse_writes) is on.
    ///
    /// # Errors
    /// A 400 where the provider does not take them.
    pub fn check_credentials(&self, digests: &Digests) -> Result<(), Answer> {
        let refused = |secret: &String| self.switches.refused_secrets.contains(secret);
        if self.switches.refuse_writes && digests.secret.as_ref().is_some_and(refused) {
            let message = "The provider does not accept these credentials";
            return Err(Answer::bad(message));
        }
        Ok(())
    }

    /// Writes down what the caller did.
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
