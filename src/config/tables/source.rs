//! `[sources.…]`.

use std::path::PathBuf;

use serde_json::json;

use super::{Form, Look, Need, Setting, Settings, Shape, auth, check_id, settings};
use crate::config::setting::Reader;
use crate::config::tree::{Tree, Value, join};
use crate::config::value_types::{self, Choice, RATE, SWITCH, TEXT, place};
use crate::config::{
    AwsConfig, AwsLook, KvVersion, SourceConfig, SourceKind, VaultAuth, VaultConfig, hints,
};
use crate::model::SourceId;

/// A source as far as its own table says.
pub(in crate::config) struct Source {
    pub(in crate::config) id: SourceId,
    /// Which of the references read so far stand in this table.
    pub(in crate::config) references: std::ops::Range<usize>,
    /// `None` where it is wrong.
    pub(in crate::config) config: Option<SourceConfig>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Type {
    Vault,
    Aws,
    File,
}

const TYPES: Choice<Type> = &[
    ("vault", Type::Vault),
    ("aws-secrets-manager", Type::Aws),
    ("file", Type::File),
];

const TYPE_FORM: Form<Type> = Form {
    shape: Shape::Text(|| value_types::words(TYPES)),
    read: |look| look.choice(TYPES),
};

const KV_VERSION_FORM: Form<KvVersion> = Form {
    shape: Shape::Leaf(|| json!({ "enum": [1, 2] })),
    read: |look| match look.node.value {
        Value::Integer(Some(1)) => Some(KvVersion::V1),
        Value::Integer(Some(2)) => Some(KvVersion::V2),
        _ => {
            look.wrong("must be 1 or 2").help(
                "write `kv_version = 2` where secrets have versions (`vault secrets list -detailed` shows `version:2`), else `kv_version = 1`",
            );
            None
        }
    },
};

const LOOKS: Choice<AwsLook> = &[("describe", AwsLook::Describe), ("batch", AwsLook::Batch)];

const LOOK_FORM: Form<AwsLook> = Form {
    shape: Shape::Text(|| value_types::words(LOOKS)),
    read: |look| look.choice(LOOKS),
};

const ROLE_ARN: Form<String> = Form {
    shape: Shape::Text(|| json!({ "type": "string", "pattern": "^arn:[^:]+:iam::[0-9]+:role/" })),
    read: |look| {
        let text = look.text("arn:aws:iam::123456789012:role/rotator")?;
        let parts: Vec<_> = text.splitn(6, ':').collect();
        let is_role =
            matches!(parts[..], ["arn", _, "iam", "", _, role] if role.starts_with("role/"));
        if !is_role {
            look.wrong("is not the ARN of a role")
                .help("write `arn:aws:iam::123456789012:role/rotator`");
            return None;
        }
        Some(text.to_owned())
    },
};

settings! {
    /// What kind of store it is: vault, aws-secrets-manager or file.
    TYPE: Type = "type", Required, TYPE_FORM;
    /// The calls a second that are made to it, failures and retries included.
    MAX_RPS: f64 = "max_rps", Default, RATE;
    /// Tell the store which version is live, so that whoever rotates knows when the old key can go. KV 2 and AWS can be told.
    ACKNOWLEDGE: bool = "acknowledge", Default, SWITCH;
    /// Scheme, host and port, without a path.
    ADDRESS: String = "address", Required, place::VAULT_ADDRESS;
    /// The namespace, where there are any.
    NAMESPACE: String = "namespace", Optional, TEXT;
    /// Where the KV engine is mounted.
    MOUNT: String = "mount", Default, place::MOUNT;
    /// The KV engine's version: 2 with versions of a secret, 1 without.
    KV_VERSION: KvVersion = "kv_version", Default, KV_VERSION_FORM;
    /// A PEM file with the certificate authorities to trust, beside the system's.
    CA_FILE: PathBuf = "ca_file", Optional, place::PATH;
    /// How to sign in.
    AUTH: VaultAuth = "auth", Required, auth::AUTH;
    /// The region. Default: what the standard AWS chain finds.
    REGION: String = "region", Optional, TEXT;
    /// A profile of the shared configuration files.
    PROFILE: String = "profile", Optional, TEXT;
    /// A role to assume with the credentials the standard AWS chain finds.
    ASSUME_ROLE_ARN: String = "assume_role_arn", Optional, ROLE_ARN;
    /// The external id that role asks for.
    EXTERNAL_ID: String = "external_id", Optional, TEXT;
    /// Another endpoint, such as a VPC endpoint.
    ENDPOINT_URL: String = "endpoint_url", Optional, place::ENDPOINT;
    /// How secrets are looked at: `describe` asks for each by itself and is given no value, `batch` asks for twenty at a time.
    LOOK: AwsLook = "look", Default, LOOK_FORM;
    /// The directory. Each file in it is a secret: plain text, or a JSON object of fields.
    DIR: PathBuf = "dir", Required, place::PATH;
}

const VAULT_SETTINGS: Settings = &[
    &TYPE,
    &ADDRESS,
    &NAMESPACE,
    &MOUNT,
    &KV_VERSION,
    &CA_FILE,
    &MAX_RPS,
    &ACKNOWLEDGE,
    &AUTH,
];

const AWS_SETTINGS: Settings = &[
    &TYPE,
    &REGION,
    &PROFILE,
    &ASSUME_ROLE_ARN,
    &EXTERNAL_ID,
    &ENDPOINT_URL,
    &LOOK,
    &MAX_RPS,
    &ACKNOWLEDGE,
];

const FILE_SETTINGS: Settings = &[&TYPE, &DIR, &MAX_RPS];

/// What metrics call other services.
const TAKEN: [(&str, &str); 3] = [
    ("flashback", "Flashback itself"),
    ("notify", "the receivers of notifications"),
    ("provider", "the providers of the keys"),
];

/// `[sources]`.
pub(in crate::config) const SOURCES: Form<Vec<Source>> = Form {
    shape: Shape::Ids(&Shape::Variants {
        by: "type",
        of: &[
            ("vault", VAULT_SETTINGS),
            ("aws-secrets-manager", AWS_SETTINGS),
            ("file", FILE_SETTINGS),
        ],
    }),
    read: |look| {
        let table = look.table("`[sources.ID]` and the source's settings below it")?;
        let mut sources = Vec::new();
        for entry in &table.tree.entries {
            if !check_id(&entry.name, entry.name_span, "source", table.diagnostics) {
                continue;
            }
            if let Some((id, what)) = TAKEN.iter().find(|(id, _)| entry.name == *id) {
                table
                    .diagnostics
                    .mistake(entry.name_span, format!("the id `{id}` is taken"))
                    .help(format!(
                        "metrics call {what} so: give the source another id"
                    ));
            }
            let before = table.diagnostics.references.len();
            let config = read_source(&mut Look {
                node: &entry.node,
                path: &join(table.path, &entry.name),
                default: table.default,
                variable: None,
                diagnostics: table.diagnostics,
            });
            sources.push(Source {
                id: SourceId::new(&entry.name),
                references: before..table.diagnostics.references.len(),
                config,
            });
        }
        Some(sources)
    },
};

fn read_source(look: &mut Look<'_>) -> Option<SourceConfig> {
    let examples = look.default;
    let mut table = look.table("`type`, and what belongs to it, below `[sources.ID]`")?;
    table.default = None;
    let Some(kind) = table.get(&TYPE) else {
        // Which settings belong to it is not known: those of any kind pass.
        table.only(ALL);
        return None;
    };
    let word = TYPES.iter().find(|(_, meaning)| *meaning == kind)?.0;
    table.default = examples.and_then(|tree| example(tree, word));
    let settings = match kind {
        Type::Vault => VAULT_SETTINGS,
        Type::Aws => AWS_SETTINGS,
        Type::File => FILE_SETTINGS,
    };
    // Named here, although it cannot have them, so that it is told why and they are not called unknown.
    let mut settings = settings.to_vec();
    if kind == Type::File && table.written(&ACKNOWLEDGE).is_some() {
        settings.push(&ACKNOWLEDGE);
    }
    if kind != Type::Aws && table.written(&LOOK).is_some() {
        settings.push(&LOOK);
    }
    table.only(&settings);
    if kind != Type::Aws {
        refuse_look(&mut table);
    }
    let max_rps = table.get(&MAX_RPS);
    let acknowledge = match kind {
        Type::File => Some(false),
        Type::Vault | Type::Aws => table.get(&ACKNOWLEDGE),
    };
    let kind = match kind {
        Type::Vault => read_vault(&mut table, examples).map(SourceKind::Vault),
        Type::Aws => read_aws(&mut table).map(SourceKind::Aws),
        Type::File => table.get(&DIR).map(|dir| SourceKind::File { dir }),
    };
    refuse_acknowledge(&mut table, kind.as_ref());
    Some(SourceConfig {
        max_rps: max_rps?,
        acknowledge: acknowledge?,
        kind: kind?,
    })
}

/// A store without versions has no place to say which one is live.
fn refuse_acknowledge(table: &mut Reader<'_, '_>, kind: Option<&SourceKind>) {
    let Some(entry) = table.tree.get(ACKNOWLEDGE.name) else {
        return;
    };
    let why = match kind {
        Some(SourceKind::File { .. }) => {
            "a directory of files cannot be told which version is live"
        }
        Some(SourceKind::Vault(vault)) if vault.kv_version == KvVersion::V1 => {
            "KV 1 cannot be told which version is live"
        }
        _ => return,
    };
    if !matches!(entry.node.value, Value::Boolean(false)) {
        table
            .diagnostics
            .mistake(entry.node.span, why)
            .help("take `acknowledge` out; KV 2 and AWS can be told");
    }
}

/// A look at another store than AWS is what it is.
fn refuse_look(table: &mut Reader<'_, '_>) {
    if let Some(span) = table.written(&LOOK) {
        let help = "take `look` out; `[schedule] check` says how often the store is looked at";
        table
            .diagnostics
            .mistake(span, "`look` is for `aws-secrets-manager` alone")
            .help(help);
    }
}

fn read_vault(table: &mut Reader<'_, '_>, examples: Option<&Tree>) -> Option<VaultConfig> {
    let address = table.get(&ADDRESS);
    let namespace = table.get(&NAMESPACE);
    let mount = table.get(&MOUNT);
    let kv_version = table.get(&KV_VERSION);
    let ca_file = table.get(&CA_FILE);
    if let (Some(kv), Some(mount), Some(span)) = (kv_version, &mount, table.written(&MOUNT))
        && let Some(hint) = hints::kv_mount(kv, mount)
    {
        table.diagnostics.warn(Some(span), hint.text);
    }
    let auth = match table.tree.get(AUTH.name) {
        // The method's defaults stand in the example of that method, not in that of the kind.
        Some(entry) => auth::read(&mut Look {
            node: &entry.node,
            path: &join(table.path, AUTH.name),
            default: examples,
            variable: None,
            diagnostics: table.diagnostics,
        }),
        None => table.get(&AUTH),
    };
    Some(VaultConfig {
        address: address?,
        namespace,
        mount: mount?,
        kv_version: kv_version?,
        ca_file,
        auth: auth?,
    })
}

fn read_aws(table: &mut Reader<'_, '_>) -> Option<AwsConfig> {
    let look = table.get(&LOOK);
    let region = table.get(&REGION);
    let profile = table.get(&PROFILE);
    let assume_role_arn = table.get(&ASSUME_ROLE_ARN);
    let external = table.get(&EXTERNAL_ID);
    let endpoint_url = table.get(&ENDPOINT_URL);
    let external_id = table.written(&EXTERNAL_ID);
    if let (Some(span), None) = (external_id, table.written(&ASSUME_ROLE_ARN)) {
        table
            .diagnostics
            .mistake(span, "`external_id` is for a role, and there is none")
            .help("write `assume_role_arn` too, or take `external_id` out");
    }
    Some(AwsConfig {
        region,
        profile,
        assume_role_arn,
        external_id: external,
        endpoint_url,
        look: look?,
    })
}

/// The reference configuration's source of a type.
fn example<'a>(sources: &'a Tree, kind: &str) -> Option<&'a Tree> {
    sources
        .tables()
        .find(|tree| tree.text("type") == Some(kind))
}
