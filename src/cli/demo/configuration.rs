//! The configuration of the demo.

use std::path::Path;

/// The name of a configuration that is in Flashback before the rotator is.
pub const MADE_BY_HAND: &str = "Claude for support";

/// The source that tells of its changes.
pub const WATCHED: &str = "watched";

/// The workspace in Flashback.
pub const WORKSPACE: &str = "workspace-demo";

/// The name of the configuration whose key is made and revoked at the provider.
pub const MINTED: &str = "GPT for code";

/// Returns the configuration: its directory, the address of the sandbox, and the settings of the provider.
pub fn configuration(path: &Path, url: &str, provider: &str) -> String {
    let path = path.display();
    format!(
        r#"[flashback]
base_url = "{url}"
workspace_id = "{WORKSPACE}"

[flashback.auth]
token = {{ file = "{path}/token" }}

[state]
url = "sqlite://{path}/state.db"

[schedule]
check = "1s"

[retry]
initial = "200ms"
max = "1s"

[sources.directory]
type = "file"
dir = "{path}/secrets"
watch = false

[sources.{WATCHED}]
type = "file"
dir = "{path}/secrets"

[keys.gpt]
name = "GPT for search"
ai_type = "OPENAI"
source = "directory"
path = "openai"

[keys.claude]
name = "{MADE_BY_HAND}"
ai_type = "ANTHROPIC"
source = "{WATCHED}"
path = "claude"

[keys.code]
name = "{MINTED}"
ai_type = "OPENAI"
source = "directory"
path = "code"

[keys.code.rotate]
provider = "openai"
overlap = "1s"
idle = "0s"

[providers.openai]
admin_key = {{ file = "{path}/admin" }}
{provider}"#
    )
}
