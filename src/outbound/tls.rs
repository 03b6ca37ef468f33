//! The TLS configuration of outgoing connections, according to the current certificate files.
//!
//! The files are checked once a second at most, and read if they have changed. During a renewal they may not
//! fit together, or be incomplete, so the last usable certificates stay in force until there are new ones
//! that can be used.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WantsClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use tokio::sync::Mutex;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::CallError;
use crate::credential::shown_path;
use crate::settled::{self, Stamp};

/// The shortest time between two checks of the files.
const LOOK: Duration = Duration::from_secs(1);

/// The trusted authorities and the client's own certificate, kept up to date.
#[derive(Debug)]
pub(super) struct Tls {
    ca_file: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    config: Option<Config>,
    /// The stamps of the files when the configuration was made.
    stamps: Stamps,
    looked: Option<Instant>,
}

/// A configuration for rustls, and a number that is different for each one.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub number: u64,
    pub rustls: ClientConfig,
    /// `true` if no authority is known, so that no `https://` address can be reached.
    pub trusts_nobody: bool,
}

type Stamps = Vec<Option<Stamp>>;

/// The system's authorities, shared by all clients and read again when they change.
static SYSTEM: Mutex<Option<(Stamps, Arc<RootCertStore>)>> = Mutex::const_new(None);

impl Tls {
    pub(super) fn new(ca_file: Option<PathBuf>, identity: Option<(PathBuf, PathBuf)>) -> Self {
        Self {
            ca_file,
            identity,
            state: Mutex::default(),
        }
    }

    /// Returns `true` if the configuration names files. Errors in them are reported even where TLS is not
    /// used.
    pub(super) fn has_files(&self) -> bool {
        self.ca_file.is_some() || self.identity.is_some()
    }

    /// Returns the configuration for new connections.
    ///
    /// # Errors
    /// Returns [`CallError::Certificates`] if a file cannot be used and there is no earlier configuration.
    pub(super) async fn current(&self) -> Result<Config, CallError> {
        let mut state = self.state.lock().await;
        if let Some(config) = &state.config
            && state.looked.is_some_and(|at| at.elapsed() < LOOK)
        {
            return Ok(config.clone());
        }
        let stamps = stamps(&self.files()).await;
        state.looked = Some(Instant::now());
        if let Some(config) = &state.config
            && state.stamps == stamps
        {
            return Ok(config.clone());
        }
        let number = state.config.as_ref().map_or(0, |config| config.number + 1);
        match (self.read(&stamps).await, &state.config) {
            (Ok((rustls, trusts_nobody)), _) => {
                let config = Config {
                    number,
                    rustls,
                    trusts_nobody,
                };
                state.config = Some(config.clone());
                state.stamps = stamps;
                Ok(config)
            }
            (Err(_), Some(config)) => Ok(config.clone()),
            (Err(what), None) => Err(CallError::Certificates(what)),
        }
    }

    /// Has the files read again for the next connection: they may have changed without a change of their
    /// stamps.
    pub(super) async fn doubt(&self) {
        let mut state = self.state.lock().await;
        state.looked = None;
        state.stamps.clear();
        if self.ca_file.is_none() {
            *SYSTEM.lock().await = None;
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let own = self.ca_file.iter().cloned();
        let (cert, key) = self.identity.clone().unzip();
        let mut files: Vec<_> = own.chain(cert).chain(key).collect();
        if self.ca_file.is_none() {
            let system = openssl_probe::probe();
            files.extend(system.cert_file);
            files.extend(system.cert_dir);
        }
        files
    }

    async fn read(&self, stamps: &Stamps) -> Result<(ClientConfig, bool), String> {
        let roots = match &self.ca_file {
            Some(path) => Arc::new(authorities(path).await?),
            None => system_authorities(stamps).await,
        };
        let trusts_nobody = roots.is_empty();
        let builder = builder(roots)?;
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let unusable =
                    "`cert_file` and `key_file` are not a certificate and its key in PEM";
                let chain = certificates(&read(cert).await?).map_err(|()| unusable.to_owned())?;
                let key = PrivateKeyDer::from_pem_slice(&read(key).await?)
                    .map_err(|_| unusable.to_owned())?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|_| "`cert_file` and `key_file` do not belong together".to_owned())?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok((config, trusts_nobody))
    }
}

impl Config {
    /// Returns the configuration for connections that are not encrypted.
    pub(super) fn unused() -> Result<Self, CallError> {
        let builder = builder(Arc::new(RootCertStore::empty()));
        Ok(Self {
            number: u64::MAX,
            rustls: builder
                .map_err(CallError::Certificates)?
                .with_no_client_auth(),
            trusts_nobody: true,
        })
    }
}

fn builder(
    roots: Arc<RootCertStore>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, String> {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots))
        .map_err(|error| error.to_string())
}

async fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let none = || "`ca_file` holds no certificate in PEM".to_owned();
    let found = certificates(&read(path).await?).map_err(|()| none())?;
    let mut roots = RootCertStore::empty();
    for certificate in found {
        roots.add(certificate).map_err(|_| none())?;
    }
    Ok(roots)
}

/// Returns the system's authorities. There may be none, as in an image without certificates; `http://` needs
/// none.
async fn system_authorities(stamps: &Stamps) -> Arc<RootCertStore> {
    let mut known = SYSTEM.lock().await;
    if let Some((at, roots)) = &*known
        && at == stamps
    {
        return Arc::clone(roots);
    }
    let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.map(|found| found.certs).unwrap_or_default());
    let roots = Arc::new(roots);
    *known = Some((stamps.clone(), Arc::clone(&roots)));
    roots
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ()> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or(())
}

async fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let read = settled::read(path).await;
    read.map_err(|error| format!("cannot read {}: {error}", shown_path(path)))
}

async fn stamps(files: &[PathBuf]) -> Stamps {
    let mut stamps = Vec::with_capacity(files.len());
    for file in files {
        let found = tokio::fs::metadata(file).await.ok();
        stamps.push(found.as_ref().map(Stamp::of));
    }
    stamps
}
