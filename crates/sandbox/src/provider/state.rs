//! The API of a provider, and the state of a fake.

use std::time::Duration;

use parking_lot::Mutex;

use super::call::{ADMIN, Call, Reply};
use super::keys::Keys;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is refused with this status, in the words of the provider, and not carried out.
    Status(u16),
    /// It is refused with 429 and `Retry-After`, in seconds.
    TooMany(u64),
    /// It is carried out, and the connection ends without an answer.
    Lost,
    /// The connection ends, and it is not carried out.
    Cut,
    /// It is carried out, and what is answered is a page of a server in between.
    Page,
    /// It is carried out, and the answer is not whole.
    Half,
    /// It is not carried out, and the caller is told to ask another server.
    Elsewhere,
}

/// The API of a provider.
pub trait Api: Send + Sync + 'static {
    /// Answers a call.
    fn answer(&self, keys: &mut Keys, call: &Call) -> Reply;

    /// Returns an error as the provider says it.
    fn error(&self, status: u16, message: &str) -> Reply;

    /// Returns the settings of a provider that uses the fake at this address, beside the credential.
    fn settings(&self, url: &str) -> String;

    /// Returns the administrative credential of a fake at this address.
    fn admin_key(&self, _url: &str) -> String {
        ADMIN.to_owned()
    }

    /// Returns what a call is known by: its method and its path.
    fn name(&self, call: &Call) -> String {
        format!("{} /{}", call.method, call.path.join("/"))
    }
}

/// A fake, as its server sees it.
pub(super) struct Inner {
    pub api: Box<dyn Api>,
    pub state: Mutex<State>,
}

/// The keys, and what is to go wrong.
#[derive(Default)]
pub(super) struct State {
    pub keys: Keys,
    pub faults: Vec<(String, Fault)>,
    /// What goes wrong with every call that begins so.
    pub lasting: Option<(String, Fault)>,
    pub calls: Vec<String>,
    pub latency: Duration,
}

impl State {
    /// Notes a call by its line, and returns what goes wrong with it and how long it takes.
    pub fn called(&mut self, line: String) -> (Option<Fault>, Duration) {
        let is_of = |(begins, _): &&(String, Fault)| line.starts_with(begins.as_str());
        let lasting = self.lasting.iter().find(is_of).map(|(_, fault)| *fault);
        let at = self.faults.iter().position(|fault| is_of(&fault));
        let fault = at.map(|at| self.faults.remove(at).1).or(lasting);
        self.calls.push(line);
        (fault, self.latency)
    }
}
