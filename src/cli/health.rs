//! `health`: asks the running daemon whether it is healthy, for `HEALTHCHECK` and probes.
//!
//! It needs neither a valid configuration nor a readable secret: a daemon that goes on with its old
//! configuration is healthy, and must not be restarted for that. It asks at the address that the daemon has
//! written to the state, because the file may have been edited since and name another.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};

use super::end::{End, wrong};
use super::{setup, table};
use crate::config::{self, StateConfig};
use crate::daemon::state::host;
use crate::outbound::{CallError, Outbound, Settings};
use crate::state;

/// The time limit of an answer. The daemon answers from memory.
const PATIENCE: Duration = Duration::from_secs(3);

/// The time limit for reading the state.
const STATE: Duration = Duration::from_secs(1);

/// The longest part of an answer that is printed, in bytes.
const SHOWN: usize = 1 << 10;

/// The arguments of `health`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  flashback-rotator health                              # whether it lives and can use its state
  flashback-rotator health --ready                      # whether every key was looked at
  flashback-rotator health --url http://127.0.0.1:9464  # wherever the configuration is")]
pub struct Args {
    /// Ask whether it is ready for work (/readyz: every key was looked at once), and not only whether it
    /// lives and can use its state (/healthz)
    #[arg(long)]
    ready: bool,

    /// Where the daemon answers, as http://HOST:PORT. Default: where it says in the state that it listens
    /// or, where there is no word of it, [http] listen of the configuration
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

pub async fn run(path: Option<&Path>, args: &Args) -> Result<End, End> {
    let base = base(path, args.url.as_deref()).await.map_err(wrong)?;
    let ask = async |page: &str| {
        let url = format!("{}/{page}", base.trim_end_matches('/'));
        (ask(&url).await, url)
    };
    let (mut answer, mut url) = ask(if args.ready { "readyz" } else { "healthz" }).await;
    // The sandbox and earlier versions of the daemon have no `/healthz`.
    if !args.ready && matches!(&answer, Ok((status, _)) if *status == StatusCode::NOT_FOUND) {
        (answer, url) = ask("livez").await;
    }
    match answer {
        Ok((status, said)) if status.is_success() => {
            setup::print(said);
            return Ok(End::Done);
        }
        Ok((_, said)) => setup::print(format_args!("unwell: {said}")),
        Err(why) => setup::print(format_args!("no answer at {url}: {why}")),
    }
    Err(End::Failed)
}

async fn base(path: Option<&Path>, url: Option<&str>) -> Result<String, &'static str> {
    if let Some(url) = url {
        let is_http = url::Url::parse(url).is_ok_and(|url| url.scheme() == "http");
        return match is_http {
            true => Ok(url.to_owned()),
            false => Err("--url: write http://HOST:PORT"),
        };
    }
    let peeked = config::peek(path);
    // In a task of its own: a disk that hangs must not keep the command from asking the daemon.
    let told = tokio::spawn(async move { told(&peeked.state?).await });
    let told = tokio::time::timeout(STATE, told).await;
    let told = told.ok().and_then(Result::ok).flatten();
    match told.or(peeked.http_listen) {
        Some(listen) if listen.port() != 0 => Ok(format!("http://{}", reachable(listen))),
        _ => Err("[http] listen names no port to ask at: say with --url where the daemon answers"),
    }
}

/// Returns the address that the daemon on this machine has written to the state. That the state cannot be
/// read is for the daemon to report.
async fn told(state: &StateConfig) -> Option<SocketAddr> {
    let store = state::open::beside(state).await.ok()??;
    let daemons = store.daemons().await.ok()?;
    let host = host();
    let here = |name: &str| name.rsplit_once('/').is_some_and(|(at, _)| at == host);
    let alive = daemons
        .all
        .iter()
        .filter(|one| one.alive && here(&one.name));
    let mut listen = alive.filter_map(|one| Some(one.last.as_ref()?.report.listen));
    // If there are several, the configuration says which one is meant.
    listen.next().filter(|_| listen.next().is_none())
}

/// Replaces an address that stands for all of this machine, such as `0.0.0.0`, by the loopback address, which
/// a client can connect to.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Returns the status of the answer and its text in one line.
async fn ask(url: &str) -> Result<(StatusCode, String), &'static str> {
    let request = Request::get(url).body(Bytes::new());
    let request = request.map_err(|_| "it is no address")?;
    let asked = async {
        let outbound = Outbound::new(Settings {
            direct: true,
            ..Settings::default()
        });
        let answer = outbound.send_alone(request).await?;
        Ok((answer.status(), answer.beginning(SHOWN).await?))
    };
    let asked = tokio::time::timeout(PATIENCE, asked).await;
    let asked = asked.unwrap_or(Err(CallError::Timeout));
    let (status, said) = asked.map_err(|error| match error {
        CallError::ConnectTimeout | CallError::Timeout => "it takes too long",
        CallError::Connect(_) => "nothing listens there",
        _ => "it is not HTTP",
    })?;
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<_> = said.lines().map(table::plain).collect();
    let said = match lines.is_empty() {
        true => status.to_string(),
        false => lines.join("; "),
    };
    Ok((status, said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_the_machine_is_asked_at_its_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:1", "[::1]:1"),
            ("10.0.0.7:80", "10.0.0.7:80"),
        ] {
            let listen = listen.parse().expect("an address");
            assert_eq!(reachable(listen).to_string(), asked);
        }
    }
}
