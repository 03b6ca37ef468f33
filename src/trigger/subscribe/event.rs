//! What a notification of Vault says
//! (<https://developer.hashicorp.com/vault/docs/concepts/events>).

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::source::vault::{KvVersion, VaultConfig};
use crate::trigger::heard::Heard;

/// The longest path that is passed on, and the longest index, in bytes.
const LONGEST: usize = 4096;

/// The operations that change no value: settings, and metadata, which the rotator writes itself to acknowledge.
const OF_METADATA: [&str; 3] = ["config-write", "metadata-write", "metadata-patch"];

/// What a notification of KV 2 has in its path between the mount and the secret.
const PARTS: [&str; 5] = ["data", "metadata", "delete", "undelete", "destroy"];

/// The meaning of a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notification {
    /// A secret of the source has changed.
    Changed(Heard),
    /// It is about something else.
    Other,
    /// It cannot be read.
    Malformed,
}

/// The secrets that a source reads.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    namespace: String,
    mount: String,
    kv: KvVersion,
}

/// A notification as a CloudEvent.
#[derive(Deserialize)]
struct Envelope {
    time: Option<String>,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    event: Event,
    event_type: Option<String>,
    #[serde(default)]
    namespace: String,
    plugin_info: Option<Plugin>,
}

#[derive(Deserialize)]
struct Event {
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    path: Option<String>,
    data_path: Option<String>,
    operation: Option<String>,
    vault_index: Option<String>,
}

#[derive(Deserialize)]
struct Plugin {
    mount_path: Option<String>,
}

impl Scope {
    pub(super) fn of(source: &VaultConfig) -> Self {
        let namespace = source.namespace.as_deref().unwrap_or_default();
        Self {
            namespace: namespace.trim_matches('/').to_owned(),
            mount: source.mount.clone(),
            kv: source.kv_version,
        }
    }

    /// Reads a notification.
    pub(super) fn read(&self, text: &str) -> Notification {
        let Ok(Envelope { time, data }) = serde_json::from_str(text) else {
            return Notification::Malformed;
        };
        let of_kv = data
            .event_type
            .as_deref()
            .is_some_and(|kind| kind.starts_with("kv"));
        let Some(metadata) = data.event.metadata.filter(|_| of_kv) else {
            return Notification::Other;
        };
        let mount = data.plugin_info.and_then(|plugin| plugin.mount_path);
        let is_elsewhere = mount.is_some_and(|mount| mount.trim_matches('/') != self.mount)
            || data.namespace.trim_matches('/') != self.namespace;
        let operation = metadata.operation.unwrap_or_default();
        if is_elsewhere || OF_METADATA.contains(&operation.as_str()) {
            return Notification::Other;
        }
        let Some(path) = metadata.data_path.or(metadata.path) else {
            return Notification::Malformed;
        };
        let Some(path) = self.below(&path) else {
            return Notification::Other;
        };
        let index = metadata.vault_index;
        Notification::Changed(Heard {
            at: time.as_deref().and_then(moment),
            index: index.filter(|index| index.len() <= LONGEST && is_plain(index)),
            ..Heard::of(path)
        })
    }

    /// Returns a path below the mount, as a key spells it.
    fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.mount.as_str())?.strip_prefix('/')?;
        let rest = match self.kv {
            KvVersion::V1 => rest,
            KvVersion::V2 => {
                let (part, rest) = rest.split_once('/')?;
                PARTS.contains(&part).then_some(rest)?
            }
        };
        let is_path = !rest.is_empty() && rest.len() <= LONGEST && !rest.contains(char::is_control);
        is_path.then_some(rest)
    }
}

/// Returns `true` for a text that can be the value of a header.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn moment(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn scope() -> Scope {
        Scope {
            namespace: "team".to_owned(),
            mount: "secret".to_owned(),
            kv: KvVersion::V2,
        }
    }

    fn example() -> Value {
        json!({
            "id": "a3be9fb1-b514-519f-5b25-b6f144a8c1ce",
            "source": "vault://mycluster",
            "specversion": "1.0",
            "type": "kv-v2/data-write",
            "data": {
                "event": {
                    "id": "a3be9fb1-b514-519f-5b25-b6f144a8c1ce",
                    "metadata": {
                        "current_version": "2",
                        "data_path": "secret/data/llm/openai",
                        "modified": "true",
                        "oldest_version": "0",
                        "operation": "data-write",
                        "path": "secret/data/llm/openai",
                        "vault_index": "eyJjbHVzdGVyX2lkIjoiMSJ9",
                    },
                },
                "event_type": "kv-v2/data-write",
                "namespace": "team/",
                "plugin_info": {
                    "mount_class": "secret",
                    "mount_accessor": "kv_5dc4d18e",
                    "mount_path": "secret/",
                    "plugin": "kv",
                },
            },
            "datacontentype": "application/cloudevents",
            "time": "2023-09-12T15:19:49.394915-07:00",
        })
    }

    fn with(pointer: &str, value: Value) -> String {
        let mut event = example();
        *event.pointer_mut(pointer).expect("it is there") = value;
        event.to_string()
    }

    #[test]
    fn a_write_names_the_secret_below_the_mount() {
        let expected = Notification::Changed(Heard {
            paths: vec!["llm/openai".to_owned()],
            version: None,
            at: moment("2023-09-12T22:19:49.394915Z"),
            index: Some("eyJjbHVzdGVyX2lkIjoiMSJ9".to_owned()),
            everywhere: false,
        });
        assert_eq!(scope().read(&example().to_string()), expected);
    }

    #[test]
    fn what_is_no_change_of_the_source_is_passed_over() {
        let operation = "/data/event/metadata/operation";
        for other in [
            with(operation, json!("metadata-patch")),
            with("/data/namespace", json!("")),
            with("/data/plugin_info/mount_path", json!("other/")),
            with("/data/event_type", json!("database/rotate")),
            with("/data/event/metadata/data_path", json!("secret/config")),
        ] {
            assert_eq!(scope().read(&other), Notification::Other, "{other}");
        }
        for malformed in ["", "canary", "{}", "[]"] {
            assert_eq!(scope().read(malformed), Notification::Malformed);
        }
    }
}
