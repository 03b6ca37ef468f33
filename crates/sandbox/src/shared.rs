//! The state that all requests share: the platform, the switches, the journal and the rate limit.

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::api::{self, Call};
use super::contract::{Admits, Answer, Contract, Fields, Handled, Operation};
use super::journal::Journal;
use super::odd::make_odd;
use super::options::{Options, USER_ID};
use super::records::Platform;
use super::switches::Switches;

/// The parts of a request that an operation uses.
#[derive(Default)]
pub(super) struct Asked {
    pub bearer: Option<String>,
    pub id: Option<String>,
    pub query: String,
    /// The body, if it is a JSON object.
    pub body: Option<Map<String, Value>>,
}

/// Everything that the handlers share.
pub(super) struct Shared {
    platform: Mutex<Platform>,
    switches: Mutex<Switches>,
    journal: Mutex<Journal>,
    pace: Mutex<Instant>,
}

impl Shared {
    pub fn new(mut options: Options) -> Self {
        let switches = std::mem::take(&mut options.switches);
        Self {
            platform: Mutex::new(Platform::new(options)),
            switches: Mutex::new(switches),
            journal: Mutex::default(),
            pace: Mutex::new(Instant::now()),
        }
    }

    pub fn platform(&self) -> MutexGuard<'_, Platform> {
        self.platform.lock()
    }

    pub fn switches(&self) -> MutexGuard<'_, Switches> {
        self.switches.lock()
    }

    pub fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock()
    }

    /// Carries out an operation for the bearer token of the request.
    pub fn carry_out(&self, operation: Operation, asked: &Asked) -> Answer {
        let switches = self.switches().clone();
        let mut platform = self.platform();
        let bearer = asked.bearer.as_deref();
        let mut answer = platform
            .accounts
            .admit(bearer, operation.contract().admits)
            .and_then(|()| perform(&mut platform, &switches, USER_ID, operation, asked))
            .unwrap_or_else(|refusal| refusal);
        make_odd(&switches.odd_entries, operation, &mut answer.body);
        answer
    }

    /// Carries out an operation as another user, who needs no bearer token and may access any workspace.
    pub fn carry_out_as(&self, user_id: &str, operation: Operation, asked: &Asked) -> Answer {
        let switches = self.switches().clone();
        let mut platform = self.platform();
        perform(&mut platform, &switches, user_id, operation, asked)
            .unwrap_or_else(|refusal| refusal)
    }

    /// Returns `true` if the rate limit admits a request now. Requests may run ahead of the rate by at most a
    /// tenth of a second.
    pub fn within_pace(&self, max_rps: Option<f64>) -> bool {
        let Some(rps) = max_rps else {
            return true;
        };
        let now = Instant::now();
        let mut next = self.pace.lock();
        if *next > now + Duration::from_millis(100) {
            return false;
        }
        *next = (*next).max(now) + Duration::from_secs_f64(1.0 / rps);
        true
    }
}

/// Checks a request against the contract and passes it to its handler.
fn perform(
    platform: &mut Platform,
    switches: &Switches,
    user_id: &str,
    operation: Operation,
    asked: &Asked,
) -> Handled {
    let contract = operation.contract();
    let mut call = Call {
        platform,
        switches,
        user_id,
        bearer: asked.bearer.as_deref().unwrap_or_default(),
        id: asked.id.as_deref().unwrap_or_default(),
        query: Fields::of_query(&asked.query, contract.query)?,
        body: body(&contract, asked)?,
    };
    api::handle(operation, &mut call)
}

fn body(contract: &Contract, asked: &Asked) -> Result<Fields, Answer> {
    let Some(table) = contract.body else {
        return Ok(Fields::default());
    };
    let object = asked.body.clone();
    let object = object.ok_or_else(|| Answer::bad("The body must be a JSON object"));
    let checked = object.and_then(|object| Fields::check(object, table));
    checked.map_err(|refusal| match contract.admits {
        // A sign-in has no other status for a refusal.
        Admits::Anyone => Answer {
            status: 401,
            ..refusal
        },
        _ => refusal,
    })
}
