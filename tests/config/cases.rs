//! Mistakes, one at a time.

/// A line of [`GOOD`](super::GOOD), what it is replaced by (`‸` marks the place where the mistake is, `CANARY`
/// what must not be seen), and words of the message and of the remedy.
pub type Case = (&'static str, &'static str, &'static str, &'static str);

/// All of them.
pub const CASES: &[Case] = &[
    // Names.
    (
        "workspace_id = \"workspace-1\"",
        "workspace_id = \"w\"\n‸workspce_id = \"CANARY\"",
        "unknown setting `workspce_id` in `[flashback]`",
        "did you mean `workspace_id`?",
    ),
    (
        "[http]",
        "[‸htpp]\nx = \"CANARY\"\n[http]",
        "unknown table `htpp`",
        "did you mean `http`?",
    ),
    (
        "enabled = true",
        "‸zzz = \"CANARY\"",
        "unknown setting `zzz` in `[keys.openai]`",
        "it can have `name`, `ai_type`,",
    ),
    (
        "token = { env = \"TOKEN\" }",
        "token = { env = \"CANARY\", ‸fiel = \"CANARY\" }",
        "unknown setting `fiel` in `[flashback.auth.token]`",
        "did you mean `field`?",
    ),
    (
        "dir = \"/run/secrets/llm\"",
        "dir = \"/CANARY\"\n‸namespace = \"CANARY\"",
        "unknown setting `namespace` in `[sources.files]`",
        "it can have `type`, `dir`, `watch` or `max_rps`",
    ),
    // Kinds.
    (
        "enabled = true",
        "enabled = ‸\"CANARY\"",
        "`enabled` must be true or false, not a text",
        "`enabled = false`",
    ),
    (
        "path = \"llm/openai\"",
        "path = ‸[\"CANARY\"]",
        "`path` must be a text, not a list",
        "write `path = ",
    ),
    (
        "timezone = \"UTC\"",
        "resync = ‸30",
        "`resync` must be a text, not a number",
        "write `resync = \"30s\"`",
    ),
    (
        "name = \"Local\"",
        "name = ‸\"\" # CANARY",
        "`name` is empty",
        "write `name = ",
    ),
    (
        "name = \"Local\"",
        "name = ‸\"CANARY\\n\"",
        "`name` has a control character",
        "write `name = ",
    ),
    // Times.
    (
        "timezone = \"UTC\"",
        "resync = ‸\"CANARY\"",
        "`resync` is not a length of time",
        "`24h`",
    ),
    (
        "check = \"30s\"",
        "check = ‸\"CANARY\"",
        "`check` is neither an interval nor a cron line",
        "`*/5 * * * *`",
    ),
    (
        "check = \"30s\"",
        "check = ‸\"200ms\" # CANARY",
        "`check` must be 1s or longer",
        "`30s`",
    ),
    (
        "timezone = \"UTC\"",
        "resync = ‸\"20years\" # CANARY",
        "`resync` is too long",
        "3650d",
    ),
    (
        "timezone = \"UTC\"",
        "resync = ‸\"0s\" # CANARY",
        "`resync` must be longer than nothing",
        "`5m`",
    ),
    (
        "check = \"30s\"",
        "check = ‸\"*/5 * * CANARY *\"",
        "`check` is not a cron line",
        "five fields (minute,",
    ),
    (
        "check = \"30s\"",
        "check = ‸\"0 0 * * * * 2030\" # CANARY",
        "`check` is not a cron line of five or six fields",
        "five fields (minute,",
    ),
    (
        "check = \"30s\"",
        "check = ‸\"0 4 1 * MON\" # CANARY",
        "`check` names both days of the month and days of the week",
        "put `*` in one of the two",
    ),
    (
        "check = \"30s\"",
        "check = ‸\"0 0 31 2 *\" # CANARY",
        "`check` never comes",
        "check the day against the month",
    ),
    (
        "timezone = \"UTC\"",
        "timezone = ‸\"Europe/Berlni\" # CANARY",
        "`timezone` is no time zone",
        "did you mean `Europe/Berlin`?",
    ),
    (
        "initial = \"500ms\"",
        "initial = \"2m\"\nmax = ‸\"1m\" # CANARY",
        "`max` is shorter than `initial`",
        "waits grow up to `max`",
    ),
    // URLs and addresses.
    (
        "base_url = \"https://flashback.example.com\"",
        "base_url = ‸\"flashback.CANARY.com\"",
        "`base_url` is not an http or https URL",
        "https://backend.flashback.tech",
    ),
    (
        "base_url = \"https://flashback.example.com\"",
        "base_url = ‸\"https://user:CANARY@example.com\"",
        "`base_url` has a user or a password in it",
        "should be changed",
    ),
    (
        "address = \"https://vault.example.com:8200\"",
        "address = ‸\"https://CANARY:8200/v1/secret\"",
        "`address` has a path",
        "goes into `mount`",
    ),
    (
        "endpoint = \"https://bedrock.example.com\"",
        "endpoint = ‸\"https://bedrock.example.com?key=CANARY\"",
        "`endpoint` has a space, a `?` or a `#` in it",
        "write `https://",
    ),
    (
        "listen = \"127.0.0.1:9464\"",
        "listen = ‸\"CANARY:9464\"",
        "`listen` is not an IP address and a port",
        "`127.0.0.1:9464`",
    ),
    // Words and numbers.
    (
        "ai_type = \"OPENAI\"",
        "ai_type = ‸\"OPENAY\" # CANARY",
        "unknown value for `ai_type`",
        "did you mean `OPENAI`?",
    ),
    (
        "type = \"aws-secrets-manager\"",
        "type = ‸\"CANARY\"",
        "unknown value for `type`",
        "it is one of `vault`, `aws-secrets-manager` or `file`",
    ),
    (
        "level = \"info\"",
        "level = ‸\"CANARY\"",
        "`level` is no level",
        "`debug`",
    ),
    (
        "max_rps = 50",
        "max_rps = ‸0 # CANARY",
        "`max_rps` must be a number above 0",
        "`max_rps = 100`",
    ),
    (
        "max_rps = 50",
        "kv_version = ‸\"CANARY\"",
        "`kv_version` must be 1 or 2",
        "write `kv_version = 2`",
    ),
    // Secrets.
    (
        "token = { env = \"TOKEN\" }",
        "token = ‸\"CANARY\"",
        "`token` is a secret, and a secret is never written in the configuration",
        "`{ env = \"NAME\" }`, `{ file = \"PATH\" }`",
    ),
    (
        "secret_id = { file = \"/run/secrets/id\" }",
        "secret_id = ‸{ env = \"CANARY\", file = \"CANARY\" }",
        "only one of `env` or `file` can say where the secret is",
        "write `{ env = ",
    ),
    (
        "secret_id = { file = \"/run/secrets/id\" }",
        "secret_id = ‸{}# CANARY",
        "this does not say where the secret is",
        "write `{ env = ",
    ),
    (
        "secret_id = { file = \"/run/secrets/id\" }",
        "secret_id = { file = \"CANARY\", ‸field = \"CANARY\" }",
        "`field` belongs to a secret in a source",
        "write `source` instead of `file`",
    ),
    (
        "token = { env = \"TOKEN\" }",
        "token = { credential = ‸\"/run/CANARY\" }",
        "`credential` is not a credential's name",
        "LoadCredential=",
    ),
    (
        "token = { env = \"TOKEN\" }",
        "refresh_token = ‸{ env = \"CANARY\" }",
        "`refresh_token` must be in a file",
        "each token works once",
    ),
    (
        "[flashback.auth]",
        "‸[flashback.auth]\nemail = \"CANARY\"\npassword = { env = \"CANARY\" }",
        "`token`, `email` and `password` are different ways to sign in",
        "keep one: write `token`, or",
    ),
    (
        "token = { env = \"TOKEN\" }",
        "token = { env = \"TOKEN\" }\ntotp = ‸{ env = \"CANARY\" }",
        "`totp` belongs to `email` and `password`",
        "take it out",
    ),
    (
        "token = { env = \"TOKEN\" }",
        "token = { source = ‸\"valt\", path = \"CANARY\" }",
        "there is no such source",
        "did you mean `vault`?",
    ),
    (
        "secret_id = { file = \"/run/secrets/id\" }",
        "secret_id = { source = ‸\"vault\", path = \"CANARY\" }",
        "this source needs itself to sign in",
        "keep this credential outside",
    ),
    (
        "token = { env = \"TOKEN\" }",
        "token = { source = \"files\", path = ‸\"../CANARY\" }",
        "the path leaves the source's directory",
        "without `..`",
    ),
    // Sources and keys.
    (
        "[sources.aws]",
        "[sources.‸flashback]\ntype = \"file\"\ndir = \"/CANARY\"\n[sources.aws]",
        "the id `flashback` is taken",
        "another id",
    ),
    (
        "[sources.aws]",
        "[sources.‸provider]\ntype = \"file\"\ndir = \"/CANARY\"\n[sources.aws]",
        "the id `provider` is taken",
        "another id",
    ),
    (
        "[sources.aws]",
        "[sources.f]\ntype = \"file\"\ndir = \"/CANARY\"\nacknowledge = ‸true\n[sources.aws]",
        "a directory of files cannot be told",
        "take `acknowledge` out",
    ),
    (
        "[sources.aws]",
        "[sources.v]\ntype = \"vault\"\naddress = \"https://v\"\nkv_version = 1\nacknowledge = ‸true\n[sources.v.auth]\nmethod = \"token\"\ntoken = { env = \"T\" }\n[sources.aws]",
        "KV 1 cannot be told",
        "take `acknowledge` out",
    ),
    (
        "[sources.aws]",
        "[sources.v]\ntype = \"vault\"\naddress = \"https://v\"\nlook = ‸\"batch\"\n[sources.v.auth]\nmethod = \"token\"\ntoken = { env = \"T\" }\n[sources.aws]",
        "unknown value for `look`",
        "it is one of `auto`, `metadata` or `list`",
    ),
    (
        "[sources.aws]",
        "[sources.v]\ntype = \"vault\"\naddress = \"https://v\"\nkv_version = 1\nlook = ‸\"list\"\n[sources.v.auth]\nmethod = \"token\"\ntoken = { env = \"T\" }\n[sources.aws]",
        "KV 1 has no versions",
        "take `look` out",
    ),
    (
        "[sources.aws]",
        "[sources.f]\ntype = \"file\"\ndir = \"/CANARY\"\n‸look = \"describe\"\n[sources.aws]",
        "unknown setting `look`",
        "it can have",
    ),
    (
        "[sources.aws]",
        "[sources.‸\"CANARY /\"]\ntype = \"file\"\ndir = \"/\"\n[sources.aws]",
        "this is no id for a source",
        "letters, digits,",
    ),
    (
        "type = \"aws-secrets-manager\"",
        "type = \"aws-secrets-manager\"\nexternal_id = ‸\"CANARY\"",
        "`external_id` is for a role, and there is none",
        "write `assume_role_arn` too",
    ),
    (
        "type = \"aws-secrets-manager\"",
        "type = \"aws-secrets-manager\"\nassume_role_arn = ‸\"CANARY\"",
        "`assume_role_arn` is not the ARN of a role",
        "arn:aws:iam::",
    ),
    (
        "role_id = \"rotator\"",
        "role_id = \"rotator\"\n‸role = \"CANARY\"",
        "`role` does not belong to method `approle`",
        "it belongs to `kubernetes`, `jwt` or `cert`; `approle` takes `mount`, `role_id` and `secret_id`",
    ),
    (
        "role_id = \"rotator\"",
        "# CANARY",
        "`role_id` is missing in `[sources.vault.auth]`",
        "write `role_id = \"…\"`: the role's id",
    ),
    (
        "source = \"vault\"",
        "source = ‸\"CANARY\"",
        "there is no such source",
        "the sources are `aws`, `files` and `vault`",
    ),
    (
        "path = \"local\"",
        "path = ‸\"/etc/CANARY\"",
        "the path leaves the source's directory",
        "relative to `dir`",
    ),
    (
        "path = \"llm/openai\"",
        "path = ‸\"/CANARY/\"",
        "this is no path in Vault",
        "below the mount",
    ),
    (
        "name = \"Local\"",
        "name = ‸\"openai\" # CANARY",
        "two keys have the same name in the same workspace",
        "give each key its own `name`",
    ),
    (
        "endpoint = \"https://bedrock.example.com\"",
        "# CANARY",
        "`endpoint` is missing in `[keys.bedrock]`",
        "`AWS` has no default",
    ),
    (
        "fields = { key = \"id\", secret = \"secret\" }",
        "fields = ‸{ secret = \"CANARY\" }",
        "`fields.key` is missing in `[keys.bedrock]`",
        "AWS credentials are a pair",
    ),
    (
        "fields = { key = \"id\", secret = \"secret\" }",
        "fields = ‸{ key = \"CANARY\" }",
        "`fields.secret` is missing in `[keys.bedrock]`",
        "both are named",
    ),
    (
        "fields = { key = \"id\", secret = \"secret\" }",
        "fields = ‸\"CANARY\"",
        "`fields` must be a table, not a text",
        "fields = { secret = \"api_key\" }",
    ),
    (
        "fields = { key = \"id\", secret = \"secret\" }",
        "fields = { key = ‸\"/CANARY~2\", secret = \"x\" }",
        "`key` is not a JSON pointer",
        "write `~0` for `~`",
    ),
    // Not TOML.
    (
        "level = \"info\"",
        "level = ‸CANARY",
        "a text without quotes",
        "put quotes around it",
    ),
    (
        "enabled = true",
        "enabled = true\n‸enabled = \"CANARY\"",
        "this is set twice",
        "keep one of the two",
    ),
    (
        "path = \"local\"",
        "path = \"CANARY‸",
        "a text that does not end",
        "close it with `\"`",
    ),
];
