//! Opens connections to PostgreSQL.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::lookup_host;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::config::{ChannelBinding, SslMode as Encrypt, TargetSessionAttrs};
use tokio_postgres::{AsyncMessage, Client};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::password::{self, Found};
use super::place::Place;
use super::tls;
use crate::config::{PostgresConfig, PostgresHost, SslMode};
use crate::credential::SharedCredential;
use crate::error_chain;
use crate::state::StateError;

/// The time limit for connecting to one host.
const CONNECT: Duration = Duration::from_secs(5);

/// The wait for one server before the next one is tried as well.
const HURRY: Duration = Duration::from_secs(1);

/// The settings of a session. A statement of this program takes milliseconds; one that takes longer waits for another
/// session, and is broken off: see [`LIMIT`](super::pool::LIMIT), too. The statements count on `read committed`.
const SESSION: &str = "-c statement_timeout=5s -c lock_timeout=3s \
     -c idle_in_transaction_session_timeout=5s -c default_transaction_isolation=read\\ committed";

/// The idle time after which TCP keepalive probes are sent.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEPALIVE_RETRIES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// The name that pg_stat_activity shows.
const APPLICATION: &str = "flashback-rotator";

/// A connection, and the task that reads from it. When it is dropped, it is closed in order.
pub(super) struct Connection {
    pub(super) client: Client,
    reader: AbortHandle,
}

impl Connection {
    /// Ends the connection at once, without waiting for any answer.
    pub(super) fn cut(self) {
        self.reader.abort();
    }
}

/// What is done with the payload of each notification that a connection receives. It must not wait.
type Hears = Arc<dyn Fn(&str) + Send + Sync>;

/// Reads what the server sends until the connection ends. Notices of the server are its own words, and are left out.
async fn read<S, T>(mut connection: tokio_postgres::Connection<S, T>, hears: Option<Hears>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let (AsyncMessage::Notification(notification), Some(hears)) = (message, &hears) {
            hears(notification.payload());
        }
    }
}

/// A try to connect. It begins when it is polled first.
type Attempt<'a> = BoxFuture<'a, Result<Connection, StateError>>;

/// Makes one attempt after the other until one succeeds, and the next one beside it where one takes longer than
/// [`HURRY`]. Returns the first connection or the last error; `None` where there are no attempts.
async fn first(attempts: Vec<Attempt<'_>>) -> Option<Result<Connection, StateError>> {
    let mut attempts = attempts.into_iter();
    let mut begun = FuturesUnordered::new();
    let mut failed = None;
    loop {
        begun.extend(attempts.next());
        if begun.is_empty() {
            return failed;
        }
        tokio::select! {
            Some(ended) = begun.next() => match ended {
                Ok(connection) => return Some(Ok(connection)),
                error => failed = Some(error),
            },
            () = sleep(HURRY), if attempts.len() > 0 => {}
        }
    }
}

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    config: PostgresConfig,
    password: Option<SharedCredential>,
    pub(super) place: Place,
    hears: Option<Hears>,
}

impl Connector {
    pub(super) fn new(
        config: PostgresConfig,
        password: Option<SharedCredential>,
        place: Place,
    ) -> Self {
        Self {
            config,
            password,
            place,
            hears: None,
        }
    }

    /// Returns a connector whose connections give `hears` the payloads of notifications.
    pub(super) fn hearing(&self, hears: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            hears: Some(Arc::new(hears)),
            ..self.clone()
        }
    }

    /// Connects to the first host that answers, in the order in which they are named.
    pub(super) async fn connect(&self) -> Result<Connection, StateError> {
        let tls = match self.config.sslmode {
            SslMode::Disable => None,
            _ => Some(self.tls().await?),
        };
        let attempt = |host| self.connect_to(host, tls.clone()).boxed();
        let connected = first(self.config.hosts.iter().map(attempt).collect()).await;
        connected.unwrap_or_else(|| Err(self.place.unusable("no host is named")))
    }

    /// Connects to the first of a host's addresses that answers.
    async fn connect_to(
        &self,
        host: &PostgresHost,
        tls: Option<MakeRustlsConnect>,
    ) -> Result<Connection, StateError> {
        let limit = self.limit();
        let addresses: Vec<IpAddr> = match host.is_socket() {
            true => Vec::new(),
            false => timeout(limit, lookup_host((&*host.host, host.port)))
                .await
                .map_err(|_| self.unresolved(host, error_chain::SILENT_NAME_SERVER))?
                .map_err(|error| self.unresolved(host, &error_chain::of_look_up(&error)))?
                .map(|address| address.ip())
                .collect(),
        };
        let attempt = |address| self.connect_at(host, address, tls.clone()).boxed();
        match first(addresses.into_iter().map(Some).map(attempt).collect()).await {
            Some(connected) => connected,
            None => attempt(None).await,
        }
    }

    fn unresolved(&self, host: &PostgresHost, why: &str) -> StateError {
        self.place.failed(format!(
            "cannot resolve {} ({why}): is the name right, and does this machine's resolver know it?",
            host.host
        ))
    }

    /// Returns the time limit for connecting.
    fn limit(&self) -> Duration {
        self.config.connect_timeout.unwrap_or(CONNECT)
    }

    async fn tls(&self) -> Result<MakeRustlsConnect, StateError> {
        let config = self.config.clone();
        let made = tokio::task::spawn_blocking(move || tls::client(&config)).await;
        let made = made.unwrap_or_else(|_| Err("reading the certificates panicked".to_owned()));
        made.map(MakeRustlsConnect::new)
            .map_err(|reason| self.place.unusable(reason))
    }

    async fn connect_at(
        &self,
        host: &PostgresHost,
        address: Option<IpAddr>,
        tls: Option<MakeRustlsConnect>,
    ) -> Result<Connection, StateError> {
        let mut config = self.settings(host);
        if let Some(address) = address {
            config.hostaddr(address);
        }
        let found = password::find(self.password.as_ref(), &self.config, host).await;
        let none = match found.map_err(|reason| self.place.unusable(reason))? {
            Found::Password(password) => {
                config.password(password.expose());
                None
            }
            Found::None(why) => Some(why),
        };
        let limit = self.limit();
        config.connect_timeout(limit);
        let hears = self.hears.clone();
        let connected = async {
            match tls.filter(|_| !host.is_socket()) {
                Some(tls) => {
                    let (client, connection) = config.connect(tls).await?;
                    Ok((client, tokio::spawn(read(connection, hears))))
                }
                None => {
                    config.ssl_mode(Encrypt::Disable);
                    let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
                    Ok((client, tokio::spawn(read(connection, hears))))
                }
            }
        };
        let (client, reader) = timeout(limit, connected)
            .await
            .map_err(|_| self.place.no_answer(limit))?
            .map_err(|error| self.refused(&error, none))?;
        let reader = reader.abort_handle();
        Ok(Connection { client, reader })
    }

    fn settings(&self, host: &PostgresHost) -> tokio_postgres::Config {
        let mut settings = tokio_postgres::Config::new();
        let options = match &self.config.options {
            Some(more) => format!("{SESSION} {more}"),
            None => SESSION.to_owned(),
        };
        let application = self.config.application_name.as_deref();
        settings
            .host(&host.host)
            .port(host.port)
            .user(&self.config.user)
            .dbname(&self.config.dbname)
            .options(options)
            .application_name(application.unwrap_or(APPLICATION))
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(UNACKNOWLEDGED)
            .ssl_mode(match self.config.sslmode {
                SslMode::Disable => Encrypt::Disable,
                SslMode::Prefer => Encrypt::Prefer,
                SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Encrypt::Require,
            })
            .channel_binding(match self.config.channel_binding {
                None => ChannelBinding::Prefer,
                Some(true) => ChannelBinding::Require,
                Some(false) => ChannelBinding::Disable,
            })
            .target_session_attrs(match self.config.read_write {
                true => TargetSessionAttrs::ReadWrite,
                false => TargetSessionAttrs::Any,
            });
        settings
    }

    /// Explains why the server has refused a connection. `none` is there where there was no password, with the reason.
    fn refused(&self, error: &tokio_postgres::Error, none: Option<Option<String>>) -> StateError {
        let words = std::error::Error::source(error).map(ToString::to_string);
        let words = words.unwrap_or_default();
        // The library gives these errors neither a code nor a type.
        match &*words {
            "password missing" => {
                let why = none.flatten();
                let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
                return self.place.unusable(format!(
                    "the server asks for a password, and there is none{why}: write `password = {{ file = \"PATH\" }}` in [state], or name a file in $PGPASSFILE"
                ));
            }
            "server does not support TLS" => {
                return self.place.unusable(
                    "the server does not encrypt, and sslmode asks for it: set `ssl = on` there",
                );
            }
            _ => {}
        }
        if words.contains("unsupported startup parameter") {
            return self.place.unusable(
                "PgBouncer refuses the settings of the session: write `ignore_startup_parameters = options` in its configuration",
            );
        }
        self.place.explain(error)
    }
}
