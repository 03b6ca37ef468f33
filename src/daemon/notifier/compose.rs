//! Composes a notice from the subjects that a receiver is to be notified of and their present state.

use crate::daemon::state::host;
use crate::engine::report::KeyReport;
use crate::model::{Change, KeyId, Version};
use crate::notify::{About, Dispatch, Event, Notice, Subject, What};
use crate::runtime::Runtime;
use crate::telemetry::metrics::FLASHBACK;

/// The number of subjects of one notice whose details are read.
const LOOKED_UP: usize = 10;

/// Composes the notice. Details that cannot be read from the state are left out.
pub async fn compose(dispatch: &Dispatch, runtime: &Runtime) -> Notice {
    let mut about = Vec::new();
    match &dispatch.what {
        What::Changes(changes) => about.extend(changes.iter().map(of_change)),
        What::States(states) => {
            for (number, (subject, at)) in states.iter().enumerate() {
                let mut one = About::of(subject.clone(), *at);
                if number < LOOKED_UP {
                    look_up(&mut one, dispatch.event, runtime).await;
                }
                about.push(one);
            }
        }
    }
    Notice {
        event: dispatch.event,
        was: dispatch.was,
        about,
        instance: host(),
    }
}

fn of_change(change: &Change) -> About {
    let label = |version: &Option<Version>| version.as_ref().map(|it| it.label().to_owned());
    About {
        source: Some(change.source.to_string()),
        name: Some(change.name.clone()),
        workspace_id: Some(change.workspace_id.to_string()),
        ai_llm_id: change.ai_llm_id.as_ref().map(ToString::to_string),
        version: label(&change.version),
        previous_version: label(&change.previous_version),
        detail: change.reason.clone(),
        ..About::of(Subject::Key(change.key.clone()), change.at)
    }
}

async fn look_up(about: &mut About, event: Event, runtime: &Runtime) {
    let is_wrong = event != Event::Recovered;
    let outage = |service: &str| {
        let upstream = runtime.upstreams.get(service).filter(|_| is_wrong)?;
        upstream.health().error
    };
    match &about.subject {
        Subject::Key(key) | Subject::Age(key) | Subject::Rotation(key) => {
            let key = key.clone();
            of_key(about, event, &key, runtime).await;
        }
        Subject::Source(source) => {
            about.detail = outage(source.as_str());
            about.source = Some(source.to_string());
        }
        Subject::Flashback => about.detail = outage(FLASHBACK),
        Subject::State => {
            let failing = runtime.engine.store.failing();
            about.detail = failing.filter(|_| is_wrong).map(|error| error.to_string());
        }
        Subject::Configuration => {}
    }
}

async fn of_key(about: &mut About, event: Event, key: &KeyId, runtime: &Runtime) {
    let Some(config) = runtime.config.keys.get(key) else {
        return;
    };
    let settings = &config.settings;
    about.source = Some(config.origin.source.to_string());
    about.name = Some(settings.name.clone());
    about.workspace_id = Some(settings.workspace_id.to_string());
    let Ok(record) = runtime.engine.store.load(key).await else {
        return;
    };
    let row = KeyReport::of_record(key, config, &record);
    about.ai_llm_id = row.ai_llm_id;
    about.version = row.version;
    let Some(standing) = row.standing else { return };
    match event {
        Event::Held => {
            about.previous_version = about.version.take();
            about.version = standing.held_version;
            about.detail = standing.held_reason;
        }
        Event::Old => about.detail = standing.warning,
        Event::RotationStuck => {
            about.detail = standing.rotation.and_then(|rotation| rotation.waiting);
        }
        Event::Recovered => {}
        _ => about.detail = row.error,
    }
}
