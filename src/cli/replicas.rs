//! Work on keys that replicas share: by the replicas that run or, if none does, by this process with leases
//! of its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::answers::{patience, rows_for, unanswered};
use super::end::{End, fail};
use super::limit::{Limit, pass};
use super::signals::{STOPPED_AT_ONCE, second_signal};
use super::{setup, table};
use crate::config::{Config, PostgresConfig};
use crate::daemon::state::State;
use crate::engine::report::KeyReport;
use crate::membership::MembershipTask;
use crate::membership::command::{Asked, Hired, all_held, any_daemon, ask};
use crate::model::KeyId;
use crate::state::Request;
use crate::state::membership::Role;
use crate::state::postgres::Postgres;
use crate::telemetry::metrics::Metrics;

/// The time limit for leaving the membership; leases that are not released expire in any case.
const LEAVE: Duration = Duration::from_secs(5);

/// Has `request` carried out. `command` is the command that the user has run; `timeout` limits the work of
/// this process.
pub async fn carry_out(
    command: &str,
    config: Config,
    postgres: &PostgresConfig,
    request: &Request,
    timeout: Option<Duration>,
) -> Result<Vec<KeyReport>, End> {
    let store = Postgres::open(postgres).await.map_err(fail)?;
    let store = Arc::new(store);
    let (asked, _) = request.parts();
    let asked: Vec<KeyId> = match asked.is_empty() {
        true => config.keys.keys().cloned().collect(),
        false => asked,
    };
    let (enabled, disabled): (Vec<KeyId>, Vec<KeyId>) =
        asked.into_iter().partition(|key| config.keys[key].enabled);
    let disabled: Vec<KeyReport> = disabled
        .iter()
        .map(|key| KeyReport::disabled(key, &config.keys[key]))
        .collect();
    let mut rows = if enabled.is_empty() {
        Vec::new()
    } else if any_daemon(&*store).await.map_err(fail)? {
        by_the_replicas(
            command,
            &config,
            (&*store, postgres.lease),
            request,
            &enabled,
        )
        .await?
    } else {
        let state = State::shared(store, postgres, Role::Command);
        let keys = enabled.into_iter().collect();
        alone(config, &state, request, keys, timeout).await?
    };
    rows.extend(disabled);
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(rows)
}

async fn by_the_replicas(
    command: &str,
    config: &Config,
    (store, lease): (&Postgres, Duration),
    request: &Request,
    keys: &[KeyId],
) -> Result<Vec<KeyReport>, End> {
    // The keys are named one by one: each replica takes those that it has leased.
    let request = match request {
        Request::Sync {
            force,
            answer_within_ms,
            ..
        } => Request::Sync {
            keys: keys.to_vec(),
            force: *force,
            answer_within_ms: *answer_within_ms,
        },
        one => one.clone(),
    };
    let bar = table::progress(keys.len());
    let progress = |done: u32, _| bar.set_position(done.into());
    let asking = ask(store, store, (&request, keys), lease, progress);
    let asked = match patience(&request) {
        Some(patience) => tokio::time::timeout(patience, asking).await,
        None => Ok(asking.await),
    };
    bar.finish_and_clear();
    let Ok(asked) = asked else {
        return Ok(unanswered(&request, config, keys));
    };
    match asked.map_err(fail)? {
        Asked::Answered(answer) => rows_for(&answer, config, keys),
        Asked::Abandoned => Err(fail(format!(
            "every replica stopped before it answered; the request waits in the state for the next \
             one. Run `{command}` again to do it without one"
        ))),
        Asked::Unheld(keys) => {
            for key in &keys {
                fail(format!(
                    "{key}: no replica takes it: is it in the configuration of those that run?"
                ));
            }
            Err(fail(
                "the other keys are carried out all the same: `status` shows them",
            ))
        }
    }
}

async fn alone(
    config: Config,
    state: &State,
    request: &Request,
    keys: BTreeSet<KeyId>,
    timeout: Option<Duration>,
) -> Result<Vec<KeyReport>, End> {
    let Some(shared) = &state.shared else {
        return Err(fail("the state is not shared"));
    };
    let (stop, leave) = (CancellationToken::new(), CancellationToken::new());
    let wanted = to_lease(request, &config, &keys);
    let runtime = setup::runtime_over(config, state, Arc::new(setup::OnStderr), &stop).await?;
    let worker = Hired {
        keys: wanted.clone(),
        store: state.store.clone(),
    };
    let mut membership_task = MembershipTask::new(
        shared.membership.clone(),
        state.leases.clone(),
        Arc::new(worker),
        shared.terms.clone(),
        Arc::new(Metrics::new()),
        stop.clone(),
        leave.clone(),
    );
    let sharing = tokio::spawn(async move { membership_task.run().await });
    let bar = table::progress(keys.len());
    let limit = Limit::new(timeout);
    let work = async {
        let leased = tokio::select! {
            leased = all_held(&state.leases, &wanted, shared.terms.lease) => leased,
            () = Limit::reached(limit) => state.leases.keys().unwrap_or_default(),
        };
        let (mine, others): (Vec<KeyId>, Vec<KeyId>) =
            keys.into_iter().partition(|key| leased.contains(key));
        let (_, command) = request.parts();
        // No names would mean all keys.
        let mut rows = match mine.is_empty() {
            true => Vec::new(),
            false => pass(&runtime, (&mine, command), &stop, limit, &bar).await,
        };
        let elsewhere = "another process works on it, and has not let go of it in time: try again";
        let config = &runtime.config.keys;
        rows.extend(
            others
                .iter()
                .map(|key| KeyReport::failed(key, &config[key], elsewhere)),
        );
        rows
    };
    let rows = tokio::select! {
        rows = work => Ok(rows),
        () = second_signal(&stop) => Err(fail(STOPPED_AT_ONCE)),
    };
    bar.finish_and_clear();
    leave.cancel();
    let _ = tokio::time::timeout(LEAVE, sharing).await;
    rows
}

/// Returns the keys of a request and, if it is for a rotation, those that read the same secret: an old key is revoked
/// once all of them have the new one.
fn to_lease(request: &Request, config: &Config, keys: &BTreeSet<KeyId>) -> BTreeSet<KeyId> {
    if !matches!(request, Request::Rotate { .. }) {
        return keys.clone();
    }
    let origins: Vec<_> = keys.iter().map(|key| &config.keys[key].origin).collect();
    let is_shared = |key: &KeyId| {
        let own = &config.keys[key].origin;
        let mut origins = origins.iter();
        origins.any(|origin| origin.source == own.source && origin.path == own.path)
    };
    let all = config.keys.keys().filter(|key| config.keys[*key].enabled);
    all.filter(|key| is_shared(key)).cloned().collect()
}
