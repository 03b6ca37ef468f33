//! What a daemon in a test is configured with, as TOML. `{dir}` in it is the directory of its [`Rotator`].
//!
//! [`Rotator`]: super::rotator::Rotator

/// A configuration, by the tables that every daemon needs and those that a test adds.
pub struct Configuration {
    pub flashback: String,
    pub workspace: String,
    pub auth: String,
    pub state: String,
    pub listen: String,
    /// Other lines of `[http]`, each with its end.
    pub http: String,
    pub rest: String,
}

impl Configuration {
    /// Begins with this Flashback and its workspace `w`, the token in `{dir}/token`, a state of its own and any
    /// port.
    pub fn new(flashback: &str) -> Self {
        Self {
            flashback: flashback.to_owned(),
            workspace: "w".to_owned(),
            auth: r#"token = { file = "{dir}/token" }"#.to_owned(),
            state: r#"url = "sqlite://{dir}/state.db""#.to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            http: String::new(),
            rest: String::new(),
        }
    }

    /// Signs in with these lines of `[flashback.auth]`.
    pub fn auth(mut self, lines: &str) -> Self {
        self.auth = lines.to_owned();
        self
    }

    /// Keeps its state as these lines of `[state]` say.
    pub fn state(mut self, lines: &str) -> Self {
        self.state = lines.to_owned();
        self
    }

    /// Adds the source `files`: the directory `{dir}/secrets`, in which changes are found by checks alone.
    pub fn files(self) -> Self {
        self.and("[sources.files]\ntype = \"file\"\ndir = \"{dir}/secrets\"\nwatch = false\n")
    }

    /// Adds other tables, as they are.
    pub fn and(mut self, tables: impl AsRef<str>) -> Self {
        self.rest += tables.as_ref();
        self
    }

    /// Returns the TOML.
    pub fn text(&self) -> String {
        let Self {
            flashback,
            workspace,
            auth,
            state,
            listen,
            http,
            rest,
        } = self;
        format!(
            "# What a test needs.\n[flashback]\nbase_url = \"{flashback}\"\nworkspace_id = \"{workspace}\"\n\
             [flashback.auth]\n{auth}\n[state]\n{state}\n[http]\nlisten = \"{listen}\"\n{http}{rest}"
        )
    }
}

/// Returns the table of a Vault with these lines in it and, of its sign-in, those.
pub fn vault(id: &str, address: &str, lines: &str, auth: &str) -> String {
    format!(
        "[sources.{id}]\ntype = \"vault\"\naddress = \"{address}\"\n{lines}\n[sources.{id}.auth]\n{auth}\n"
    )
}

/// Returns the table of a key of OpenAI that is in this source.
pub fn key(id: &str, source: &str, path: &str) -> String {
    format!("[keys.{id}]\nai_type = \"OPENAI\"\nsource = \"{source}\"\npath = \"{path}\"\n")
}

/// Returns the table of a Secrets Manager at this address.
pub fn aws(id: &str, url: &str) -> String {
    format!(
        "[sources.{id}]\ntype = \"aws-secrets-manager\"\nregion = \"us-east-1\"\nendpoint_url = \"{url}\"\n"
    )
}

/// A sign-in to Vault with the token in the variable `TEST_BAO_TOKEN`.
pub const TOKEN_IN_VARIABLE: &str = "method = \"token\"\ntoken = { env = \"TEST_BAO_TOKEN\" }";

/// Returns a sign-in to Vault with the token in this file of `{dir}`.
pub fn token_in(file: &str) -> String {
    format!("method = \"token\"\ntoken = {{ file = \"{{dir}}/{file}\" }}")
}

/// Returns a sign-in to Vault with AppRole, whose secret is in `{dir}/secret-id`.
pub fn app_role(mount: &str, role_id: &str) -> String {
    format!(
        "method = \"approle\"\nmount = \"{mount}\"\nrole_id = \"{role_id}\"\n\
         secret_id = {{ file = \"{{dir}}/secret-id\" }}"
    )
}
