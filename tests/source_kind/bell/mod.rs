//! The smallest trigger there can be: a Unix socket on which each datagram is a path.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use flashback_rotator::setting::settings;
use flashback_rotator::setting::value_types::place::PATH;
use flashback_rotator::trigger::{Context, Ear, Heard, Kind, Trigger, TriggerError, TriggerKind};
use tokio::net::UnixDatagram;

pub const KIND: Kind = Kind {
    name: "bell",
    sources: &["toy"],
    settings: BellTable::ALL,
    reference: include_str!("reference.toml"),
    implied: |_| None,
    read: |table| Some(Arc::new(BellTable::read(table).finish()?)),
};

settings! {
    /// A trigger of the type `bell`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Bell, read by BellTable {
        /// The socket.
        socket: PathBuf = PATH, Required;
    }
}

impl TriggerKind for Bell {
    fn place(&self) -> String {
        self.socket.display().to_string()
    }

    fn build(&self, _: Context<'_>) -> Result<Box<dyn Trigger>, TriggerError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Trigger for Bell {
    async fn listen(&mut self, ear: &Ear) -> Result<Infallible, TriggerError> {
        let failed = |error: std::io::Error| TriggerError(error.to_string());
        let socket = UnixDatagram::bind(&self.socket).map_err(failed)?;
        ear.up();
        let mut path = [0; 256];
        loop {
            let length = socket.recv(&mut path).await.map_err(failed)?;
            ear.heard(Heard::of(String::from_utf8_lossy(&path[..length])));
        }
    }
}
