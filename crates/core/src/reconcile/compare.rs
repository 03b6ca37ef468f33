//! The comparison of Flashback's list with what was written.

use url::Url;

use super::knowledge::Drift;
use crate::model::{Appearance, Edits, Listed, Live, Record, Settings, Shown};
use crate::words;

/// The length up to which a name or address from Flashback is shown, in characters.
const LONGEST: usize = 120;

/// Compares the list of a workspace, which was asked for after the last push, with what was written.
pub fn compare(record: &Record, listed: &[&Listed]) -> Drift {
    let (Some(id), Some(written)) = (&record.ai_llm_id, written(record)) else {
        return Drift::Unknown;
    };
    let ours = listed.iter().find(|other| other.id == *id);
    let ours = ours.map(|ours| &ours.appearance);
    if !written.target.is_configuration() {
        // Nothing but the credentials is ever written to a stored key.
        return ours.map_or(Drift::Gone, |_| Drift::AsWritten);
    }
    let named = |other: &Appearance| same_name(&other.name, &written.name);
    let other = listed
        .iter()
        .find(|other| other.id != *id && named(&other.appearance));
    match (ours, other) {
        (
            Some(Appearance {
                stored_key: Some(key),
                ..
            }),
            _,
        ) => Drift::Shared(key.clone()),
        (Some(ours), Some(other)) if !named(ours) => Drift::TakenOver {
            by: other.id.clone(),
            renamed: Some(shown(&ours.name)),
        },
        (Some(ours), _) if differences(written, ours).is_empty() => Drift::AsWritten,
        (Some(ours), _) => Drift::Edited(ours.clone()),
        (None, Some(other)) => Drift::TakenOver {
            by: other.id.clone(),
            renamed: None,
        },
        (None, None) => Drift::Gone,
    }
}

/// Returns the settings that the configuration on record was last written with, or is being written with.
fn written(record: &Record) -> Option<&Settings> {
    let live = record.live.as_ref().map(|live| &live.settings);
    live.or(record.intent.as_ref().map(|intent| &intent.settings))
}

/// Returns the record after a comparison that tells something new: a repair is seen to have worked, or the
/// credentials in Flashback are not this key's any more. `None` where it tells nothing new.
pub fn news(record: &Record, drift: &Drift) -> Option<Record> {
    let live = record.live.as_ref()?;
    if matches!(drift, Drift::Shared(_)) {
        return Some(no_longer_live(record));
    }
    let again = match (drift, live.shown.as_ref()?) {
        (Drift::Unknown | Drift::TakenOver { .. }, _) => true,
        (Drift::Gone, Shown::Nowhere) => true,
        (Drift::Edited(appearance), Shown::As(before)) => appearance == before,
        _ => false,
    };
    (!again).then(|| Record {
        live: Some(Live {
            shown: None,
            ..live.clone()
        }),
        ..record.clone()
    })
}

/// Returns the record where Flashback holds credentials that are not this key's any more.
fn no_longer_live(record: &Record) -> Record {
    Record {
        previous: record.last_good(),
        live: None,
        verification: None,
        edits: Edits {
            changed_by: None,
            ..record.edits.clone()
        },
        ..record.clone()
    }
}

/// Returns the differences, for people; empty where there are none. A field that the list leaves out counts as equal.
pub fn differences(written: &Settings, found: &Appearance) -> String {
    let mut all = Vec::new();
    if !same_name(&written.name, &found.name) {
        all.push(format!("name was `{}`", shown(&found.name)));
    }
    let other = |ai_type: &&String| ai_type.trim() != written.ai_type.as_str();
    if let Some(ai_type) = found.ai_type.as_ref().filter(other) {
        all.push(format!("ai_type was {}", shown(ai_type)));
    }
    let other = |endpoint: &&String| !same_endpoint(&written.endpoint, endpoint);
    if let Some(endpoint) = found.endpoint.as_ref().filter(other) {
        all.push(format!("endpoint was {}", shown_url(endpoint)));
    }
    if all.is_empty() {
        return String::new();
    }
    format!("{} in Flashback", all.join(", "))
}

fn same_name(one: &str, other: &str) -> bool {
    one.trim() == other.trim()
}

/// Compares as URLs: the case of scheme and host and a default port mean nothing, and a slash at the
/// end is often added or taken away.
fn same_endpoint(one: &str, other: &str) -> bool {
    let plain = |text: &str| {
        let text = text.trim();
        let url = Url::parse(text).map_or_else(|_| text.to_owned(), String::from);
        url.trim_end_matches('/').to_owned()
    };
    plain(one) == plain(other)
}

/// Returns the part of a text from Flashback that may be shown.
fn shown(text: &str) -> String {
    words::shown(text, &[]).chars().take(LONGEST).collect()
}

/// Returns an address without what may carry a password or a key.
fn shown_url(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = plain.split_once("://").unwrap_or(("", plain));
    let (host, path) = match rest.split_once('/') {
        Some((host, path)) => (host, Some(path)),
        None => (rest, None),
    };
    let host = host.rsplit('@').next().unwrap_or_default();
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, format!(":{port}")),
        _ => (host, String::new()),
    };
    let parts = std::iter::once(host).chain(path.into_iter().flat_map(|path| path.split('/')));
    let mut parts: Vec<_> = parts.map(shown).collect();
    parts[0] += &port;
    let scheme = match scheme {
        "" => String::new(),
        scheme => format!("{}://", shown(scheme)),
    };
    format!("{scheme}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_compared_as_urls() {
        let ours = "https://api.openai.com/v1";
        for same in [
            "https://API.OpenAI.com/v1",
            "HTTPS://api.openai.com:443/v1/",
            " https://api.openai.com/v1 ",
        ] {
            assert!(same_endpoint(ours, same), "{same}");
        }
        for other in [
            "http://api.openai.com/v1",
            "https://api.openai.com/V1",
            "https://api.openai.com:8443/v1",
            "https://api.openai.com",
            "",
        ] {
            assert!(!same_endpoint(ours, other), "{other}");
        }
    }

    #[test]
    fn no_password_or_key_of_an_address_is_shown() {
        let table = [
            ("https://api.example.com/v1", "https://api.example.com/v1"),
            (
                "https://u:pw@api.example.com:8443/v1?key=x#y",
                "https://api.example.com:8443/v1",
            ),
            ("https://h/sk-0123456789", "https://h/…"),
            ("not an address", "not an address"),
            ("sk-0123456789", "…"),
            ("https://h/a\nb", "https://h/a b"),
            ("", ""),
        ];
        for (url, expected) in table {
            assert_eq!(shown_url(url), expected, "{url}");
        }
        assert_eq!(shown("my sk-0123456789"), "my …");
        assert_eq!(shown(&"name ".repeat(200)).len(), LONGEST);
    }
}
