//! Handler of `/systemevent`: records of what was created, updated or deleted, and by which user.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::Call;
use crate::contract::{Answer, Handled};
use crate::options::USER_ID;
use crate::records::{CONTEXTS, Dated, EVENTS};

/// Lists a page of the events. For an ordinary user the events of others are silently left out.
pub fn list(call: &mut Call<'_>) -> Handled {
    let body = &call.body;
    if let Some(workspace) = body.text("workspaceId") {
        call.enter(workspace)?;
    }
    let (from, to) = (body.time("from_timestamp"), body.time("to_timestamp"));
    let last_day = (from, to) == (None, None);
    let from = from.or_else(|| last_day.then(|| Utc::now() - TimeDelta::days(1)));
    let named = |names: &[&'static str], field| {
        let index = body.whole(field).and_then(|n| usize::try_from(n).ok());
        index.and_then(|index| names.get(index).copied())
    };
    let (context, event) = (named(CONTEXTS, "context"), named(EVENTS, "event"));
    let is = |asked: Option<&str>, value: &str| asked.is_none_or(|asked| asked == value);
    let wanted = |dated: &&Dated| {
        let it = &dated.event;
        from.is_none_or(|from| dated.at >= from)
            && to.is_none_or(|to| dated.at <= to)
            && is(context, it.context)
            && is(event, it.event)
            && is(body.text("contextId"), &it.context_id)
            && is(body.text("userId"), &it.user_id)
            && is(body.text("workspaceId"), &it.workspace_id)
            && (call.is_administrator() || it.user_id == USER_ID)
    };
    let mut found: Vec<&Dated> = call.platform.events.iter().filter(wanted).collect();
    if !call.switches.events_oldest_first {
        found.reverse();
    }
    let (skip, take) = (body.whole("skip"), body.whole("take"));
    let count = |n: Option<u64>| usize::try_from(n.unwrap_or_default()).unwrap_or(usize::MAX);
    let page = found.iter().skip(count(skip)).take(count(take));
    let listed: Vec<Value> = page
        .map(|dated| {
            let user = &dated.event.user_id;
            let (name, email) = call.platform.accounts.name_and_email(user);
            dated.listed(&name, &email)
        })
        .collect();
    Ok(Answer::ok(json!({
        "events": listed,
        "total": found.len(),
        "skip": skip,
        "take": take,
    })))
}
