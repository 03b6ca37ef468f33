//! Rotations that get into each other's way: an old key takes longer to go than a new one takes to come, and the provider
//! has no room for more.

use humantime::format_duration;

use crate::config::period_of;
use crate::model::{Abilities, Check, Revoke, RotateConfig};
use crate::runtime::Runtime;
use crate::setting::mask::shown_name;

/// Returns a warning for each such key, a sentence each.
pub fn crowded(runtime: &Runtime) -> Vec<String> {
    let keys = runtime.managed_keys.values().filter_map(|managed| {
        let rotate = managed.config.rotate.as_deref()?;
        let abilities = runtime.engine.providers[&rotate.provider].abilities();
        let title = runtime.config.providers[&rotate.provider].kind.title;
        let why = waits(rotate, abilities, title)?;
        Some(format!("key `{}`: {why}", shown_name(managed.key.as_str())))
    });
    keys.collect()
}

/// Returns why the rotations of a key would wait for each other; `None` if they would not.
fn waits(rotate: &RotateConfig, abilities: Abilities, title: &str) -> Option<String> {
    let room = match (abilities.slots, abilities.limit) {
        (true, _) => "has a slot for one key beside the live one".to_owned(),
        (false, Some(limit)) => format!("allows {limit} keys"),
        (false, None) => return None,
    };
    let every = match rotate.every.as_ref()? {
        Check::Every(interval) => *interval,
        Check::Cron(line) => period_of(line),
    };
    let is_disabled = abilities.disables && rotate.revoke == Revoke::Disable;
    let mut parts = vec!["overlap"];
    let mut takes = rotate.overlap;
    if abilities.last_use {
        parts.push("idle");
        takes += rotate.idle;
    }
    if is_disabled {
        parts.push("cool_off");
        takes += rotate.cool_off;
    }
    (rotate.revoke != Revoke::None && every < takes).then(|| {
        format!(
            "it is rotated every {}, an old key takes up to {} to go ({}), and {title} {room}: rotations would wait for each other. Make `every` longer, or these shorter",
            format_duration(every),
            format_duration(takes),
            parts.join(" + ")
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::ProviderId;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn rotate(every: Duration) -> RotateConfig {
        RotateConfig {
            provider: ProviderId::new("p"),
            every: Some(Check::Every(every)),
            overlap: HOUR,
            idle: HOUR / 2,
            revoke: Revoke::Disable,
            cool_off: 24 * HOUR,
            adopt: None,
        }
    }

    fn abilities() -> Abilities {
        Abilities {
            mints: true,
            names: false,
            last_use: true,
            disables: true,
            slots: false,
            limit: Some(2),
        }
    }

    #[test]
    fn warns_where_an_old_key_outlives_the_interval_and_there_is_no_room() {
        let why = waits(&rotate(25 * HOUR), abilities(), "AWS").expect("a warning");
        for part in [
            "1day 1h",
            "1day 1h 30m",
            "overlap + idle + cool_off",
            "allows 2 keys",
        ] {
            assert!(why.contains(part), "{part} in {why}");
        }
        assert_eq!(waits(&rotate(26 * HOUR), abilities(), "AWS"), None);
    }

    #[test]
    fn counts_only_what_the_provider_can_do() {
        let no_limit = Abilities {
            limit: None,
            ..abilities()
        };
        assert_eq!(waits(&rotate(HOUR), no_limit, "OpenAI"), None);
        let slots = Abilities {
            slots: true,
            disables: false,
            last_use: false,
            ..no_limit
        };
        assert_eq!(waits(&rotate(HOUR), slots, "Azure"), None);
        let why = waits(&rotate(HOUR / 2), slots, "Azure").expect("a warning");
        assert!(why.contains("(overlap)") && why.contains("a slot"), "{why}");
    }
}
