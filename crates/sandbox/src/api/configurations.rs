//! Handlers of `/ai/llm`: AI LLM configurations.

use chrono::Utc;
use serde_json::{Value, json};

use super::{Call, stored_keys};
use crate::contract::{Answer, Handled};
use crate::records::{Configuration, Digests, sha256_hex};
use crate::switches::InlineOnStored;
use flashback_rotator_core::model::AiType;

const WHAT: &str = "AI LLM configuration";

pub fn list(call: &mut Call<'_>) -> Handled {
    let workspace = call.enter_queried()?;
    let all = call.platform.configurations.iter();
    let here = all.filter(|(_, it)| workspace.is_none_or(|id| it.workspace_id == id));
    Ok(listed(here))
}

pub fn available(call: &mut Call<'_>) -> Handled {
    let newest_first = call.platform.configurations.iter().rev();
    Ok(listed(newest_first.filter(|(_, it)| it.validated)))
}

fn listed<'a>(configurations: impl Iterator<Item = (String, &'a Configuration)>) -> Answer {
    let listed: Vec<Value> = configurations.map(|(id, it)| it.listed(&id)).collect();
    Answer::ok(json!({"success": true, "aiLlms": listed}))
}

/// Answers that there was no usage, since no calls to providers go through the sandbox.
pub fn stats(call: &mut Call<'_>) -> Handled {
    const TOTALS: [&str; 8] = [
        "totalApiCalls",
        "totalTokensIn",
        "totalTokensOut",
        "totalLlmTokensIn",
        "totalLlmTokensOut",
        "totalPolicyViolations",
        "totalAlerts",
        "totalBlocks",
    ];
    let asked = call.query.text("aiLlmId");
    let ids = call.platform.configurations.iter().map(|(id, _)| id);
    let stats: Vec<Value> = ids
        .filter(|id| asked.is_none_or(|asked| asked == id))
        .map(|id| {
            let totals = TOTALS.iter().map(|name| ((*name).to_owned(), json!("0")));
            let id = ("aiLlmId".to_owned(), json!(id));
            totals.chain([id]).collect()
        })
        .collect();
    Ok(Answer::ok(json!({"success": true, "stats": stats})))
}

pub fn create(call: &mut Call<'_>) -> Handled {
    let workspace = call.body.required_text("workspaceId").to_owned();
    call.enter(&workspace)?;
    let empty = Configuration {
        workspace_id: workspace.clone(),
        user_id: call.user_id.to_owned(),
        name: String::new(),
        ai_type: AiType::Other,
        endpoint: None,
        own: Digests::default(),
        api_key_id: None,
        writes: 0,
        validated: false,
        repositories: Vec::new(),
        created_at: Utc::now(),
    };
    let (it, shared) = written(call, empty)?;
    call.platform.note_write(&it.own);
    let id = call.platform.configurations.add(it);
    Ok(finish(call, &id, "created", &workspace, shared))
}

pub fn update(call: &mut Call<'_>) -> Handled {
    let former = entered(call)?.clone();
    let workspace = former.workspace_id.clone();
    let (it, shared) = written(call, former)?;
    call.platform.note_write(&it.own);
    call.platform.configurations.replace(call.id, it);
    Ok(finish(call, call.id, "updated", &workspace, shared))
}

/// The id of a stored key, and the credentials to be written into it.
type Shared = (String, Digests);

/// Returns the configuration as changed by the body. The caller stores it, so that a refused write changes
/// nothing.
fn written(
    call: &Call<'_>,
    mut it: Configuration,
) -> Result<(Configuration, Option<Shared>), Answer> {
    let body = &call.body;
    if let Some(name) = body.text("name").filter(|name| *name != it.name) {
        let configurations = &call.platform.configurations;
        if configurations.has_name(&it.workspace_id, name) {
            let message = "An AI LLM configuration with this name already exists in the workspace";
            return Err(Answer::error(400, "DUPLICATE_NAME", message));
        }
        name.clone_into(&mut it.name);
    }
    if let Some(ai_type) = body.text("aiType") {
        it.ai_type = serde_json::from_value(Value::from(ai_type))
            .map_err(|_| Answer::bad("aiType is none of the known"))?;
    }
    if let Some(endpoint) = body.sent("endpoint") {
        it.endpoint = endpoint.map(str::to_owned);
    }
    if let Some(id) = body.text("apiKeyUuid") {
        let stored = call.platform.stored_keys.get(id);
        if stored.is_none_or(|stored| stored.workspace_id != it.workspace_id) {
            return Err(Answer::bad(
                "apiKeyUuid must be a stored key of the workspace",
            ));
        }
        it.api_key_id = Some(id.to_owned());
        it.own = Digests::default();
        it.validated = false;
    }
    let shared = write_credentials(call, &mut it)?;
    if it.api_key_id.is_none() {
        let needed = [
            ("endpoint", it.endpoint.is_some()),
            ("secret", it.own.secret.is_some()),
        ];
        if let Some((field, _)) = needed.iter().find(|(_, there)| !there) {
            return Err(Answer::lacks(field));
        }
    }
    it.writes += 1;
    Ok((it, shared))
}

/// Writes the credentials in the body into the configuration, or returns them if they belong into its stored
/// key.
fn write_credentials(call: &Call<'_>, it: &mut Configuration) -> Result<Option<Shared>, Answer> {
    let sent = Digests::sent(&call.body);
    if let Some(stored) = &it.api_key_id {
        // A `null` removes nothing here, as the configuration has no credentials of its own.
        if sent.is_empty() {
            return Ok(None);
        }
        match call.switches.inline_on_stored {
            InlineOnStored::Ignore => return Ok(None),
            InlineOnStored::Change => {
                call.check_credentials(&sent)?;
                return Ok(Some((stored.clone(), sent)));
            }
            InlineOnStored::Detach => it.api_key_id = None,
        }
    }
    call.check_credentials(&sent)?;
    for (field, own) in [("key", &mut it.own.key), ("secret", &mut it.own.secret)] {
        if let Some(text) = call.body.sent(field) {
            *own = text.map(sha256_hex);
            it.validated = false;
        }
    }
    Ok(None)
}

/// Changes the stored key if the write concerns it, records the events and returns the answer.
fn finish(
    call: &mut Call<'_>,
    id: &str,
    what: &'static str,
    workspace: &str,
    shared: Option<Shared>,
) -> Answer {
    call.write_event("aillm", what, id, workspace);
    if let Some((stored, digests)) = shared {
        stored_keys::change(call, &stored, digests);
    }
    let message = format!("{WHAT} {what} successfully");
    Answer::ok(json!({"success": true, "aiLlmId": id, "message": message}))
}

/// Deletes a configuration, unless a repository uses it.
pub fn delete(call: &mut Call<'_>) -> Handled {
    if !entered(call)?.repositories.is_empty() {
        let message = "The configuration is in use by a repository";
        return Err(Answer::error(403, "IN_USE", message));
    }
    call.platform.remove_configuration(call.id, call.user_id);
    let message = format!("{WHAT} deleted successfully");
    Ok(Answer::ok(json!({"success": true, "message": message})))
}

pub fn validate(call: &mut Call<'_>) -> Handled {
    let valid = call
        .platform
        .is_valid(call.id, entered(call)?, call.switches);
    call.platform.configurations.set_validated(call.id, valid);
    let message = if valid {
        "AI LLM configuration validated successfully. Connection established and credentials verified."
    } else {
        "Validation failed: Invalid API key or endpoint unreachable. Error: 401 Unauthorized"
    };
    Ok(Answer::ok(json!({"success": valid, "message": message})))
}

/// Returns the configuration in the path, if the caller may access its workspace.
fn entered<'a>(call: &'a Call<'_>) -> Result<&'a Configuration, Answer> {
    let it = call.platform.configurations.get(call.id);
    let it = it.ok_or_else(|| Answer::not_found(WHAT))?;
    call.enter(&it.workspace_id)?;
    Ok(it)
}
