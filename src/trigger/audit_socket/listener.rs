//! The socket to which audit devices connect.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::io::AsyncRead;
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::listen::Listen;
use crate::trigger::contract::TriggerError;

/// The permissions of a Unix socket: its group may connect.
const MODE: u32 = 0o660;

/// What a connection is read from.
pub(super) type Connection = Box<dyn AsyncRead + Send + Unpin>;

/// A socket that listens.
pub(super) enum Listener {
    Unix {
        listener: UnixListener,
        path: PathBuf,
        /// The device and the inode of the socket.
        id: (u64, u64),
    },
    Tcp(TcpListener),
}

impl Listener {
    /// Begins to listen. A Unix socket that another process left behind is replaced.
    pub async fn bind(listen: &Listen) -> Result<Self, TriggerError> {
        let refused = |error: io::Error| cannot_listen(listen, &error);
        match listen {
            Listen::Tcp(address) => {
                let listener = TcpListener::bind(address).await.map_err(refused)?;
                Ok(Self::Tcp(listener))
            }
            Listen::Unix(path) => {
                remove_what_was_left(path).await?;
                let bound = UnixListener::bind(path).and_then(|listener| {
                    fs::set_permissions(path, Permissions::from_mode(MODE))?;
                    Ok((listener, id(path)?))
                });
                let (listener, id) = bound.map_err(refused)?;
                let path = path.clone();
                Ok(Self::Unix { listener, path, id })
            }
        }
    }

    /// Waits for the next connection. Returns `None` for one that is gone already.
    pub async fn accept(&self) -> Result<Option<Connection>, TriggerError> {
        let accepted: io::Result<Connection> = match self {
            Self::Unix { listener, .. } => listener.accept().await.map(|(it, _)| Box::new(it) as _),
            Self::Tcp(listener) => listener.accept().await.map(|(it, _)| Box::new(it) as _),
        };
        match accepted {
            Ok(connection) => Ok(Some(connection)),
            Err(error) => match error.kind() {
                io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => Ok(None),
                kind => Err(TriggerError(format!(
                    "the audit socket takes no connections: {kind}"
                ))),
            },
        }
    }

    /// Checks that a Unix socket is still where the server looks for it.
    pub fn check(&self) -> Result<(), TriggerError> {
        match self {
            Self::Unix { path, id: own, .. } if !id(path).is_ok_and(|it| it == *own) => Err(
                TriggerError(format!("the audit socket {} was removed", path.display())),
            ),
            _ => Ok(()),
        }
    }
}

/// Removes a socket at which nobody listens.
async fn remove_what_was_left(path: &Path) -> Result<(), TriggerError> {
    let name = path.display();
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(TriggerError(format!(
            "{name} is there and no socket: remove it, or listen elsewhere"
        )));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            let removed = fs::remove_file(path);
            removed.map_err(|error| {
                let kind = error.kind();
                TriggerError(format!(
                    "the socket {name} of an earlier process cannot be removed: {kind}"
                ))
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => Err(TriggerError(format!(
            "another process listens at {name}: each source needs an audit socket of its own"
        ))),
    }
}

fn id(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn cannot_listen(listen: &Listen, error: &io::Error) -> TriggerError {
    let kind = error.kind();
    TriggerError(match (listen, kind) {
        (Listen::Unix(path), io::ErrorKind::NotFound) => format!(
            "the directory of the audit socket {} does not exist",
            path.display()
        ),
        (_, io::ErrorKind::AddrInUse) => format!(
            "another process listens at {listen}: each source needs an audit socket of its own"
        ),
        _ => format!("cannot listen at {listen}: {kind}"),
    })
}
