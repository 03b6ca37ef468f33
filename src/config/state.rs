//! The location of the state, as `[state]` configures it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::credential::SecretRef;

/// `[state]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateConfig {
    /// One process, one file.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// A database that replicas share.
    Postgres(Box<PostgresConfig>),
}

/// Formats it as a URL or a path, without parameters.
impl fmt::Display for StateConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => path.display().fmt(f),
            Self::Postgres(postgres) => postgres.fmt(f),
        }
    }
}

/// A PostgreSQL database. The names are libpq's
/// (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresConfig {
    /// They are tried in this order; there is at least one.
    pub hosts: Vec<PostgresHost>,
    /// The user to sign in as.
    pub user: String,
    /// The database.
    pub dbname: String,
    /// `[state] password`; `$PGPASSFILE` or `~/.pgpass` where left out.
    pub password: Option<SecretRef>,
    /// The encryption of the connection, and the checks of the server's certificate.
    pub sslmode: SslMode,
    /// The authorities that the server's certificate is checked against.
    pub sslrootcert: Option<SslRoots>,
    /// A PEM file with the client certificate and its chain, and one with its key.
    pub sslcert: Option<(PathBuf, PathBuf)>,
    /// Sign in only where the server proves by SCRAM that it is the end of the encrypted connection.
    /// `None`: where it can.
    pub channel_binding: Option<bool>,
    /// Pass over servers that take no writes.
    pub read_write: bool,
    /// The longest time that connecting may take.
    pub connect_timeout: Option<Duration>,
    /// The name that `pg_stat_activity` shows.
    pub application_name: Option<String>,
    /// Settings of the session, as `-c name=value`.
    pub options: Option<String>,
    /// `[state] lease`.
    pub lease: Duration,
}

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresHost {
    /// A name, an address, or the directory of a Unix socket.
    pub host: String,
    /// The port, also of a socket.
    pub port: u16,
}

impl PostgresHost {
    /// Returns `true` if it is the directory of a Unix socket.
    pub fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }
}

/// `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted where the server can; nothing is checked.
    Prefer,
    /// Encrypted; nothing is checked.
    Require,
    /// Encrypted, and the certificate is signed by a trusted authority.
    VerifyCa,
    /// Encrypted; the certificate is signed by a trusted authority and issued for the host.
    VerifyFull,
}

/// `sslrootcert`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SslRoots {
    /// The authorities this machine trusts.
    System,
    /// The authorities in a PEM file.
    File(PathBuf),
}

impl fmt::Display for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.hosts.iter().map(|at| {
            let port = match at.port {
                5432 => String::new(),
                port => format!(":{port}"),
            };
            match at.host.contains(':') {
                true => format!("[{}]{port}", at.host),
                false => format!("{}{port}", at.host),
            }
        });
        let hosts = hosts.collect::<Vec<_>>().join(",");
        write!(f, "postgres://{}@{hosts}/{}", self.user, self.dbname)
    }
}
