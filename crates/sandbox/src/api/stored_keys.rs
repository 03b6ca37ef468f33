//! Handlers of `/apikeys`: stored provider keys.

use std::collections::{BTreeMap, HashMap};

use chrono::Utc;
use serde_json::{Value, json};

use super::Call;
use crate::contract::{Answer, Fields, Handled};
use crate::records::{DETAILS, Digests, StoredKey};

pub fn list(call: &mut Call<'_>) -> Handled {
    let workspace = call.enter_queried()?;
    let provider = call.query.text("provider");
    let capability = call.query.whole("capability").unwrap_or_default();
    let mut users: HashMap<&str, usize> = HashMap::new();
    for (_, configuration) in call.platform.configurations.iter() {
        if let Some(id) = &configuration.api_key_id {
            *users.entry(id).or_default() += 1;
        }
    }
    let wanted = |it: &StoredKey| {
        workspace.is_none_or(|id| it.workspace_id == id)
            && provider.is_none_or(|name| it.provider == name)
            && it.is_capable_of(capability)
    };
    let all = call.platform.stored_keys.iter();
    let listed: Vec<Value> = all
        .filter(|(_, it)| wanted(it))
        .map(|(id, it)| it.listed(&id, users.get(id.as_str()).copied().unwrap_or_default()))
        .collect();
    Ok(Answer::ok(json!({"success": true, "apiKeys": listed})))
}

pub fn create(call: &mut Call<'_>) -> Handled {
    let workspace = call.body.required_text("workspaceId").to_owned();
    call.enter(&workspace)?;
    let digests = Digests::sent(&call.body);
    call.check_credentials(&digests)?;
    call.platform.note_write(&digests);
    let id = call.platform.stored_keys.add(StoredKey {
        workspace_id: workspace.clone(),
        provider: call.body.required_text("provider").to_owned(),
        digests,
        details: details(&call.body),
        writes: 1,
        created_at: Utc::now(),
    });
    call.write_event("apikey", "created", &id, &workspace);
    Ok(Answer::ok(json!({
        "success": true,
        "apiKeyId": id,
        "message": "API key created successfully",
    })))
}

/// Changes the fields that were sent and no others. The answer has no id.
pub fn update(call: &mut Call<'_>) -> Handled {
    entered(call)?;
    let digests = Digests::sent(&call.body);
    call.check_credentials(&digests)?;
    let (provider, details) = (call.body.text("provider"), details(&call.body));
    if let Some(it) = call.platform.stored_keys.get_mut(call.id) {
        if let Some(provider) = provider {
            provider.clone_into(&mut it.provider);
        }
        it.details.extend(details);
    }
    change(call, call.id, digests);
    let message = "API key updated successfully";
    Ok(Answer::ok(json!({"success": true, "message": message})))
}

/// Deletes a stored key, unless a configuration uses it.
pub fn delete(call: &mut Call<'_>) -> Handled {
    let workspace = entered(call)?;
    if !call.platform.configurations.users_of(call.id).is_empty() {
        let message = "The API key is in use by an AI LLM configuration";
        return Err(Answer::error(403, "IN_USE", message));
    }
    call.platform.stored_keys.remove(call.id);
    call.write_event("apikey", "deleted", call.id, &workspace);
    let message = "API key deleted successfully";
    Ok(Answer::ok(json!({"success": true, "message": message})))
}

/// Writes credentials into a stored key: those that are present replace the old ones, for every configuration
/// that uses the stored key.
pub fn change(call: &mut Call<'_>, id: &str, digests: Digests) {
    call.platform.note_write(&digests);
    if !digests.is_empty() {
        call.platform.configurations.stored_key_changed(id);
    }
    let Some(it) = call.platform.stored_keys.get_mut(id) else {
        return;
    };
    it.digests.replace(digests);
    it.writes += 1;
    let workspace = it.workspace_id.clone();
    call.write_event("apikey", "updated", id, &workspace);
}

/// Returns the workspace of the stored key in the path, if the caller may access it.
fn entered(call: &Call<'_>) -> Result<String, Answer> {
    let it = call.platform.stored_keys.get(call.id);
    let it = it.ok_or_else(|| Answer::not_found("API key"))?;
    call.enter(&it.workspace_id)?;
    Ok(it.workspace_id.clone())
}

fn details(body: &Fields) -> BTreeMap<&'static str, String> {
    let sent = DETAILS.iter();
    sent.filter_map(|name| Some((*name, body.text(name)?.to_owned())))
        .collect()
}
