//! `sandbox`: runs a local Flashback to try things on.

use std::net::SocketAddr;

use super::end::{End, fail};
use super::setup;
use crate::flashback::sandbox::{Options, Sandbox};
use crate::secret::Secret;

/// The arguments of `sandbox`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  flashback-rotator sandbox                           # any token will do
  flashback-rotator sandbox --listen 127.0.0.1:18787  # at another address")]
pub struct Args {
    /// Where to listen. It has no secrets to keep, and no protection: stay on the loopback address
    #[arg(long, default_value = "127.0.0.1:8787", value_name = "ADDR")]
    listen: SocketAddr,

    /// The bearer token that is good; where left out, every token and every login is
    #[arg(
        long,
        env = "FLASHBACK_SANDBOX_TOKEN",
        hide_env_values = true,
        value_name = "T"
    )]
    token: Option<String>,
}

pub async fn run(args: Args) -> Result<End, End> {
    let listener = tokio::net::TcpListener::bind(args.listen).await;
    let listener =
        listener.map_err(|error| fail(format!("cannot listen on {}: {error}", args.listen)))?;
    let options = Options {
        token: args.token.map(Secret::new),
        ..Options::default()
    };
    let sandbox = Sandbox::start(listener, options).map_err(fail)?;
    let url = sandbox.url();
    setup::print(format!("A local Flashback is at {url}, until Ctrl-C."));
    setup::print(format!(
        "  base_url = \"{url}\"              for [flashback] in the configuration"
    ));
    setup::print(format!(
        "  curl {url}/_sandbox             its switches: latency, faults, limits"
    ));
    setup::print(format!(
        "  curl {url}/_sandbox/journal     what it was asked"
    ));
    tokio::signal::ctrl_c().await.map_err(fail)?;
    sandbox.shutdown().await;
    Ok(End::Done)
}
