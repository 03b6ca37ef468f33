//! `check`: validates the configuration, and with `--connect` everything it points at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use futures_util::future::join_all;

use tokio_util::sync::CancellationToken;

use super::table::{self, Table};
use super::{End, desk, fail, say};
use crate::config::Loaded;
use crate::engine::positions;
use crate::flashback::{Flashback, Listing};
use crate::fleet::Fleet;
use crate::lane::Failure as _;
use crate::model::{Observation, TargetKind, WorkspaceId};
use crate::source::why_missing;
use crate::store::sqlite::Sqlite;

/// What `check` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  flashback-rotator check            # the configuration alone
  flashback-rotator check --connect  # sign in everywhere, and look at each key")]
pub struct Args {
    /// Also sign in to every source and to Flashback and read each key's metadata; changes nothing
    #[arg(long)]
    connect: bool,
}

pub async fn run(path: Option<&Path>, args: &Args) -> End {
    match check(path, args).await {
        Ok(end) | Err(end) => end,
    }
}

async fn check(path: Option<&Path>, args: &Args) -> Result<End, End> {
    let Loaded {
        config,
        files,
        warnings,
        ..
    } = desk::load(path)?;
    for warning in &warnings {
        say(format_args!("warning: {warning}"));
    }
    let files: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    desk::print(format!(
        "{} is valid: {} and {}",
        files.join(", "),
        count(config.keys.len(), "key"),
        count(config.sources.len(), "source"),
    ));
    if !args.connect {
        return Ok(End::Done);
    }
    desk::quiet_log(&config)?;
    let store = Sqlite::in_memory().map_err(fail)?;
    let (outages, stop) = (Arc::new(desk::InTheResult), CancellationToken::new());
    let fleet = desk::fleet(config, Arc::new(store), outages, &stop).await?;
    let mut lines = services(&fleet).await;
    lines.extend(keys(&fleet).await);
    let mut table = Table::new(&["WHAT", "RESULT", "DETAIL"]);
    let mut end = End::Done;
    for line in lines {
        let result = if line.works {
            table::green("ok")
        } else {
            table::red("failed")
        };
        if !line.works {
            fail(format!("{}: {}", line.what, line.detail));
            end = End::Failed;
        }
        table.row([line.what, result, table::plain(&line.detail)]);
    }
    desk::print(table);
    Ok(end)
}

struct Line {
    what: String,
    works: bool,
    detail: String,
}

impl Line {
    fn new<E: std::fmt::Display>(what: String, result: Result<String, E>) -> Self {
        match result {
            Ok(detail) => Self {
                what,
                works: true,
                detail,
            },
            Err(error) => Self {
                what,
                works: false,
                detail: error.to_string(),
            },
        }
    }
}

async fn services(fleet: &Fleet) -> Vec<Line> {
    let sources = fleet.sources.iter().map(|(id, source)| async move {
        Line::new(format!("source {id}"), source.connect().await)
    });
    let mut lines = join_all(sources).await;
    let flashback = &fleet.engine.flashback;
    let signed_in = match flashback.sign_in().await {
        Ok(how) => Ok(how + &account(flashback.as_ref()).await),
        Err(error) => Err(error),
    };
    let works = signed_in.is_ok();
    lines.push(Line::new("Flashback".to_owned(), signed_in));
    if !works {
        // Each workspace would only say the same again.
        return lines;
    }
    let workspaces: BTreeSet<&WorkspaceId> = fleet
        .units
        .values()
        .map(|unit| &unit.config.settings.workspace_id)
        .collect();
    for workspace in workspaces {
        let kinds: BTreeSet<TargetKind> = fleet
            .units
            .values()
            .map(|unit| &unit.config.settings)
            .filter(|settings| settings.workspace_id == *workspace)
            .map(|settings| settings.target.kind())
            .collect();
        for kind in kinds {
            let listed = flashback.list(workspace, kind).await;
            let found = listed.map(|listing| found(&listing, kind));
            lines.push(Line::new(format!("workspace {workspace}"), found));
        }
    }
    lines
}

/// Describes a list: how many entries it holds, and which of them cannot be read and are passed over.
fn found(listing: &Listing, kind: TargetKind) -> String {
    let readable = count(listing.entries.len(), kind.noun());
    match &listing.unreadable[..] {
        [] => readable,
        [one] => format!("{readable}; entry {one} cannot be read and is passed over"),
        more => format!(
            "{readable}; entries {} cannot be read and are passed over",
            positions(more)
        ),
    }
}

/// Describes the account that is signed in, as far as Flashback tells of it.
async fn account(flashback: &dyn Flashback) -> String {
    let account = match flashback.account().await {
        Ok(account) => account,
        // Not in the server's words: the profile is an addition, and no reason to doubt the rest.
        Err(error) => return format!("; its profile cannot be read ({})", error.status()),
    };
    let mut text = String::new();
    if let Some(id) = &account.user_id {
        text = format!("; user {id}");
    }
    match account.org_role {
        Some(0xff) => text += "; role OWNER",
        Some(0xfe) => text += "; role ADMINISTRATOR",
        Some(role) => {
            text += &format!(
                "; role {role}, a member: cannot see edits by others: \
                 give it the role ADMINISTRATOR, or rely on the resync"
            );
        }
        None => {}
    }
    text
}

async fn keys(fleet: &Fleet) -> Vec<Line> {
    let looks = fleet.units.values().map(|unit| async move {
        let path = &unit.config.origin.path;
        let found = match unit.source.look(path).await {
            Ok(Observation::Present { version, .. }) => Ok(format!("version {version}")),
            Ok(Observation::Missing(why)) => {
                Err(why_missing(unit.source.as_ref(), path, why).await)
            }
            Err(error) => Err(error.to_string()),
        };
        (
            unit.key.clone(),
            Line::new(format!("key {}", unit.key), found),
        )
    });
    let lines: BTreeMap<_, _> = join_all(looks).await.into_iter().collect();
    lines.into_values().collect()
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
