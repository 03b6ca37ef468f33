//! The platform behind the API: its configurations, its accounts, its rules. No HTTP here, no
//! faults, and no credential: digests stand for them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::fields::{Answer, Fields, lacks, text};
use super::switches::Switches;
use super::{Account, Options};
use crate::flashback::wire;
use crate::model::AiType;
use crate::secret::Secret;

/// A configuration as the sandbox shows it to the curious.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// Its id.
    pub ai_llm_id: String,
    /// Its workspace.
    pub workspace_id: String,
    /// Its name.
    pub name: String,
    /// The provider.
    pub ai_type: AiType,
    /// The provider's address.
    pub endpoint: String,
    /// The SHA-256 of its `key`, where it has one.
    pub key_sha256: Option<String>,
    /// The SHA-256 of its `secret`.
    pub secret_sha256: String,
    /// How many writes it has seen, its creation included.
    pub writes: u64,
    /// Whether its credentials were validated since they were written.
    pub validated: bool,
    /// The repositories that use it.
    pub repositories: Vec<String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

impl Shown {
    /// As the API shows it: no secret, the key masked.
    fn listed(&self) -> Value {
        let created = self.created_at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let repos = self.repositories.iter().enumerate().map(|(index, name)| {
            json!({"id": format!("{}-{index}", self.ai_llm_id), "name": name, "createdAt": created})
        });
        json!({
            "id": self.ai_llm_id,
            "orgId": "sandbox-organisation",
            "workspaceId": self.workspace_id,
            "userId": "sandbox-user",
            "name": self.name,
            "aiType": self.ai_type,
            "endpoint": self.endpoint,
            "key": self.key_sha256.as_ref().map(|_| "********"),
            "createdAt": created,
            "repos": repos.collect::<Vec<_>>(),
        })
    }
}

/// Everything the sandbox remembers.
pub(super) struct Platform {
    token: Option<Secret>,
    account: Option<Account>,
    workspaces: Option<BTreeSet<String>>,
    configurations: Vec<Shown>,
    places: HashMap<String, usize>,
    /// The names that are taken, by workspace.
    names: HashMap<String, HashSet<String>>,
    created: u64,
    /// When each secret was first written.
    written: HashMap<String, Instant>,
    access: HashMap<String, Instant>,
    refresh: HashSet<String>,
}

impl Platform {
    pub fn new(options: Options) -> Self {
        Self {
            token: options.token,
            account: options.account,
            workspaces: options.workspaces,
            configurations: Vec::new(),
            places: HashMap::new(),
            names: HashMap::new(),
            created: 0,
            written: HashMap::new(),
            access: HashMap::new(),
            refresh: HashSet::new(),
        }
    }

    /// Whether a bearer may call.
    pub fn admits(&self, bearer: Option<&str>) -> bool {
        let Some(bearer) = bearer.filter(|text| !text.is_empty()) else {
            return false;
        };
        let anyone = self.token.is_none() && self.account.is_none();
        anyone
            || self.token.as_ref().is_some_and(|t| wire::is(t, bearer))
            || self
                .access
                .get(bearer)
                .is_some_and(|end| Instant::now() < *end)
    }

    pub fn list(&self, workspace: Option<&str>) -> Answer {
        if let Some(workspace) = workspace
            && let Err(refusal) = self.enter(workspace)
        {
            return refusal;
        }
        let here = |shown: &&Shown| workspace.is_none_or(|id| shown.workspace_id == id);
        let shown = self.configurations.iter().filter(here);
        let listed: Vec<_> = shown.map(Shown::listed).collect();
        Answer::ok(json!({"success": true, "aiLlms": listed}))
    }

    pub fn available(&self) -> Answer {
        let shown = self.configurations.iter().rev().filter(|c| c.validated);
        let listed: Vec<_> = shown.map(Shown::listed).collect();
        Answer::ok(json!({"success": true, "aiLlms": listed}))
    }

    pub fn create(&mut self, body: &Map<String, Value>, switches: &Switches) -> Answer {
        self.try_create(body, switches)
            .unwrap_or_else(|refusal| refusal)
    }

    fn try_create(
        &mut self,
        body: &Map<String, Value>,
        switches: &Switches,
    ) -> Result<Answer, Answer> {
        let fields = Fields::read(body)?;
        let workspace = text(body, "workspaceId")?.ok_or_else(|| lacks("workspaceId"))?;
        let name = fields.name.ok_or_else(|| lacks("name"))?;
        let ai_type = fields.ai_type.ok_or_else(|| lacks("aiType"))?;
        let endpoint = fields.endpoint.ok_or_else(|| lacks("endpoint"))?;
        let secret_sha256 = fields.secret_sha256.ok_or_else(|| lacks("secret"))?;
        self.enter(workspace)?;
        self.unique(workspace, name)?;
        takes(switches, &secret_sha256)?;
        self.take_name(workspace, name);
        self.first_write(&secret_sha256);
        self.created += 1;
        // In the form of the real ones, and the same in every run.
        let ai_llm_id = format!("5a4db0c5-0000-4000-8000-{:012x}", self.created);
        self.places
            .insert(ai_llm_id.clone(), self.configurations.len());
        self.configurations.push(Shown {
            ai_llm_id: ai_llm_id.clone(),
            workspace_id: workspace.to_owned(),
            name: name.to_owned(),
            ai_type,
            endpoint: endpoint.to_owned(),
            key_sha256: fields.key_sha256,
            secret_sha256,
            writes: 1,
            validated: false,
            repositories: Vec::new(),
            created_at: Utc::now(),
        });
        Ok(written(&ai_llm_id, "created"))
    }

    pub fn update(&mut self, id: &str, body: &Map<String, Value>, switches: &Switches) -> Answer {
        self.try_update(id, body, switches)
            .unwrap_or_else(|refusal| refusal)
    }

    fn try_update(
        &mut self,
        id: &str,
        body: &Map<String, Value>,
        switches: &Switches,
    ) -> Result<Answer, Answer> {
        let place = *self.places.get(id).ok_or_else(Answer::not_found)?;
        let workspace = self.configurations[place].workspace_id.clone();
        self.enter(&workspace)?;
        let fields = Fields::read(body)?;
        let former = self.configurations[place].name.clone();
        let renamed = fields.name.filter(|name| *name != former);
        if let Some(name) = renamed {
            self.unique(&workspace, name)?;
        }
        if let Some(secret) = &fields.secret_sha256 {
            takes(switches, secret)?;
            self.first_write(secret);
        }
        if let Some(name) = renamed {
            self.free_name(&workspace, &former);
            self.take_name(&workspace, name);
        }
        let configuration = &mut self.configurations[place];
        configuration.writes += 1;
        if let Some(name) = renamed {
            name.clone_into(&mut configuration.name);
        }
        if let Some(ai_type) = fields.ai_type {
            configuration.ai_type = ai_type;
        }
        if let Some(endpoint) = fields.endpoint {
            endpoint.clone_into(&mut configuration.endpoint);
        }
        if fields.key_sha256.is_some() || fields.secret_sha256.is_some() {
            configuration.validated = false;
        }
        if let Some(key) = fields.key_sha256 {
            configuration.key_sha256 = Some(key);
        }
        if let Some(secret) = fields.secret_sha256 {
            configuration.secret_sha256 = secret;
        }
        Ok(written(id, "updated"))
    }

    pub fn delete(&mut self, id: &str) -> Answer {
        let Some(place) = self.places.get(id) else {
            return Answer::not_found();
        };
        if !self.configurations[*place].repositories.is_empty() {
            let message = "The configuration is in use by a repository";
            return Answer::error(403, "IN_USE", message);
        }
        self.remove(id);
        Answer::ok(json!({"success": true, "message": "AI LLM configuration deleted successfully"}))
    }

    pub fn validate(&mut self, id: &str, switches: &Switches) -> Answer {
        let Some(place) = self.places.get(id) else {
            return Answer::not_found();
        };
        let configuration = &mut self.configurations[*place];
        let secret = &configuration.secret_sha256;
        let age = self.written.get(secret).map(Instant::elapsed);
        let ready = |after: &u64| age.is_some_and(|age| age >= Duration::from_millis(*after));
        let valid = !switches.refused_secrets.contains(secret)
            && switches.slow_secrets.get(secret).is_none_or(ready);
        configuration.validated = valid;
        let message = if valid {
            "AI LLM configuration validated successfully. Connection established and credentials verified."
        } else {
            "Validation failed: Invalid API key or endpoint unreachable. Error: 401 Unauthorized"
        };
        Answer::ok(json!({"success": valid, "message": message}))
    }

    pub fn login(&mut self, body: Option<&Map<String, Value>>, switches: &Switches) -> Answer {
        let field = |name| body.and_then(|body| body.get(name)).and_then(Value::as_str);
        let good = match (field("email"), field("password"), &self.account) {
            (Some(email), Some(password), Some(account)) => {
                wire::is(&account.email, email) && wire::is(&account.password, password)
            }
            // With a token and no account there is nobody to log in.
            (Some(_), Some(_), None) => self.token.is_none(),
            _ => false,
        };
        if good {
            self.issue(switches)
        } else {
            Answer::error(401, "INVALID_CREDENTIALS", "Invalid email or password")
        }
    }

    pub fn refresh(&mut self, body: Option<&Map<String, Value>>, switches: &Switches) -> Answer {
        let field = |name| body.and_then(|body| body.get(name));
        let token = match (field("refreshToken"), field("refresh_token")) {
            (Some(one), Some(other)) if one != other => None,
            (one, other) => one.or(other).and_then(Value::as_str),
        };
        if token.is_some_and(|token| self.refresh.remove(token)) {
            self.issue(switches)
        } else {
            Answer::error(401, "INVALID_REFRESH_TOKEN", "Invalid refresh token")
        }
    }

    fn issue(&mut self, switches: &Switches) -> Answer {
        let life = Duration::from_millis(switches.token_life_ms);
        let now = Instant::now();
        self.access.retain(|_, end| now < *end);
        let access = fresh("access");
        self.access.insert(access.clone(), now + life);
        let expires = SystemTime::now() + life;
        let since = expires.duration_since(SystemTime::UNIX_EPOCH);
        let expires = u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
        Answer::ok(json!({
            "success": true,
            "accessToken": access,
            "refreshToken": self.issue_refresh(),
            "expiresAt": expires,
        }))
    }

    pub fn issue_refresh(&mut self) -> String {
        let token = fresh("refresh");
        self.refresh.insert(token.clone());
        token
    }

    pub fn revoke_access(&mut self) {
        self.access.clear();
    }

    pub fn revoke_refresh(&mut self) {
        self.refresh.clear();
    }

    pub fn replace_token(&mut self, token: Option<Secret>) {
        self.token = token;
    }

    pub fn shown(&self) -> Vec<Shown> {
        self.configurations.clone()
    }

    pub fn remove(&mut self, id: &str) -> bool {
        let Some(place) = self.places.remove(id) else {
            return false;
        };
        let removed = self.configurations.remove(place);
        self.free_name(&removed.workspace_id, &removed.name);
        for later in self.places.values_mut().filter(|later| **later > place) {
            *later -= 1;
        }
        true
    }

    pub fn attach(&mut self, id: &str, repository: &str) -> bool {
        let place = self.places.get(id);
        if let Some(place) = place {
            self.configurations[*place]
                .repositories
                .push(repository.to_owned());
        }
        place.is_some()
    }

    fn first_write(&mut self, secret_sha256: &str) {
        let secret = secret_sha256.to_owned();
        self.written.entry(secret).or_insert_with(Instant::now);
    }

    fn enter(&self, workspace: &str) -> Result<(), Answer> {
        match &self.workspaces {
            Some(known) if !known.contains(workspace) => {
                let message = "You have no access to this workspace";
                Err(Answer::error(403, "FORBIDDEN", message))
            }
            _ => Ok(()),
        }
    }

    fn unique(&self, workspace: &str, name: &str) -> Result<(), Answer> {
        let names = self.names.get(workspace);
        if names.is_some_and(|names| names.contains(name)) {
            let message = "An AI LLM configuration with this name already exists in the workspace";
            return Err(Answer::error(400, "DUPLICATE_NAME", message));
        }
        Ok(())
    }

    fn take_name(&mut self, workspace: &str, name: &str) {
        let names = self.names.entry(workspace.to_owned()).or_default();
        names.insert(name.to_owned());
    }

    fn free_name(&mut self, workspace: &str, name: &str) {
        if let Some(names) = self.names.get_mut(workspace) {
            names.remove(name);
        }
    }
}

fn fresh(kind: &str) -> String {
    format!("sandbox-{kind}-{:032x}", rand::random::<u128>())
}

fn written(id: &str, what: &str) -> Answer {
    let message = format!("AI LLM configuration {what} successfully");
    Answer::ok(json!({"success": true, "aiLlmId": id, "message": message}))
}

fn takes(switches: &Switches, secret_sha256: &str) -> Result<(), Answer> {
    if switches.refuse_writes && switches.refused_secrets.contains(secret_sha256) {
        return Err(Answer::bad(
            "The provider does not accept these credentials",
        ));
    }
    Ok(())
}
