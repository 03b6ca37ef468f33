//! `rotate`: makes a new key at the provider now, and revokes the old one when that is live and verified.

mod record;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;

use self::record::{Outcome, RotationRecord};
use super::end::{End, fail, wrong};
use super::{discover, setup, work};
use crate::config::Config;
use crate::engine::RotationReport;
use crate::model::{KeyId, Record, RotateCommand};
use crate::setting::mask::shown_name;
use crate::state::{self, Request};

/// The time that a daemon has to answer without `--timeout`.
const BESIDE_A_DAEMON: Duration = Duration::from_secs(120);

/// The arguments of `rotate`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  flashback-rotator rotate openai-prod                       # before it is due
  flashback-rotator rotate openai-prod --compromised         # the old key is known to others: it dies at once
  flashback-rotator rotate openai-prod --compromised --json  # with a record of it to keep")]
pub struct Args {
    /// Which key
    #[arg(value_name = "KEY")]
    key: String,

    /// Revoke the old key as soon as the new one is live and verified, without overlap and whoever uses it
    #[arg(long)]
    compromised: bool,

    /// With --compromised: revoke the old key even if the new one does not work. Then no key may work
    #[arg(long, requires = "compromised")]
    even_if_broken: bool,

    /// How long to wait. A rotation that is not over by then is named, and the exit code is 1: a daemon goes
    /// on with it. Default: 2m beside a daemon, no limit without one
    #[arg(long, value_name = "TIME", value_parser = setup::duration)]
    timeout: Option<Duration>,

    /// Print one JSON document: the record of the rotation
    #[arg(long)]
    json: bool,
}

pub async fn run(path: Option<&Path>, args: &Args) -> Result<End, End> {
    let config = discover::known(setup::load(path)?.config).await?;
    let mut keys = setup::known_keys(&config, std::slice::from_ref(&args.key))?;
    let key = keys.remove(0);
    if let Some(why) = cannot_be_rotated(&config, &key) {
        return Err(wrong(why));
    }
    makes_keys(&config, &key).await?;
    let (settings, state) = (Arc::clone(&config.keys[&key]), config.state.clone());
    let wanted = RotateCommand {
        compromised: args.compromised,
        even_if_broken: args.even_if_broken,
        at: Utc::now(),
    };
    let within = args.timeout.unwrap_or(BESIDE_A_DAEMON).as_millis();
    let request = Request::Rotate {
        key: key.clone(),
        wanted,
        answer_within_ms: Some(u64::try_from(within).unwrap_or(u64::MAX)),
    };
    let rows = work::rows("rotate", config, &request, args.timeout).await?;
    let failed = rows.iter().find_map(|row| row.error.clone());
    let record = match state::open::beside(&state).await.map_err(fail)? {
        Some(store) => store.load(&key).await.map_err(fail)?,
        None => Record::new(key.clone()),
    };
    let Some(report) = RotationReport::of(&key, &settings, &record) else {
        return Err(fail(format!("{key}: it is not rotated any more")));
    };
    let record = RotationRecord::new(&key, wanted, report, failed, Utc::now());
    match args.json {
        true => setup::print(record.document()),
        false => setup::print(record.text()),
    }
    Ok(match record.outcome {
        Outcome::Done => End::Done,
        _ => fail(format!("{key}: {}", record.reason())),
    })
}

/// Returns why a key of the configuration is not rotated by this program; `None` if it is.
fn cannot_be_rotated(config: &Config, key: &KeyId) -> Option<String> {
    let settings = &config.keys[key];
    let name = shown_name(key.as_str());
    if settings.rotate.is_some() {
        return (!settings.enabled).then(|| {
            format!("the key `{name}` is disabled: set `enabled = true`, then rotate it")
        });
    }
    let is_the_same = |other: &KeyId| {
        let (other, origin) = (&config.keys[other], &settings.origin);
        let is_shared = other.origin.source == origin.source && other.origin.path == origin.path;
        is_shared && other.rotate.is_some()
    };
    if let Some(other) = config.keys.keys().find(|other| is_the_same(other)) {
        let other = shown_name(other.as_str());
        return Some(format!(
            "the secret of the key `{name}` is rotated by the key `{other}`: run `rotate {other}`"
        ));
    }
    if let Some(rule) = &settings.rule {
        return Some(format!(
            "the key `{name}` was discovered by the rule `{rule}`, and discovered keys are not rotated: write a table `[keys.{name}]` for it, with `rotate = {{ provider = \"…\" }}`"
        ));
    }
    let provider = match config.providers.keys().next() {
        Some(provider) => format!("`rotate = {{ provider = \"{provider}\" }}`"),
        None => "`rotate = { provider = \"…\" }`, and the provider as `[providers.…]`".to_owned(),
    };
    Some(format!(
        "the key `{name}` has no `rotate`, so this program does not make its keys: add {provider} to `[keys.{name}]`"
    ))
}

/// Makes sure that the key's provider makes keys. Calls nothing.
async fn makes_keys(config: &Config, key: &KeyId) -> Result<(), End> {
    let Some(rotate) = &config.keys[key].rotate else {
        return Ok(());
    };
    let runtime = setup::runtime_without_state(config.clone()).await?;
    if runtime.engine.providers[&rotate.provider].abilities().mints {
        return Ok(());
    }
    Err(wrong(format!(
        "{} makes keys in its console alone: make one there and write it into the source; the old one is revoked when that is live and verified",
        config.providers[&rotate.provider].kind.title
    )))
}
