//! Encryption, as `sslmode` and its companions say it.
//!
//! The files are read at each new connection, so that a renewed certificate takes effect.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::config::{PostgresConfig, SslMode, SslRoots};
use crate::settled;

/// Returns the TLS settings for connections.
///
/// # Errors
/// Returns a text for people if a certificate or key file cannot be used.
pub(super) fn client(config: &PostgresConfig) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &config.sslrootcert {
        Some(authorities) => {
            let roots = Arc::new(roots(authorities)?);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
                .build()
                .map_err(|error| format!("sslrootcert: {error}"))?;
            match config.sslmode {
                SslMode::VerifyFull => builder.with_webpki_verifier(verifier),
                _ => builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(OfAnyName {
                        authorities: Some(verifier),
                        provider,
                    })),
            }
        }
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(OfAnyName {
                authorities: None,
                provider,
            })),
    };
    let Some((cert, key)) = &config.sslcert else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(cert, "sslcert")?;
    let read = settled::read_blocking(key).map_err(pem::Error::Io);
    let key = read
        .and_then(|pem| PrivateKeyDer::from_pem_slice(&pem))
        .map_err(|error| file_error("sslkey", key, &error, "private key"))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| format!("sslcert and sslkey do not go together: {error}"))
}

fn roots(authorities: &SslRoots) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match authorities {
        SslRoots::System => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                return Err("this machine has no certificate authorities: install ca-certificates, or name a file in sslrootcert".to_owned());
            }
        }
        SslRoots::File(path) => {
            for certificate in certificates(path, "sslrootcert")? {
                roots
                    .add(certificate)
                    .map_err(|error| format!("sslrootcert {}: {error}", path.display()))?;
            }
        }
    }
    Ok(roots)
}

fn certificates(path: &Path, setting: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let fail = |error: pem::Error| file_error(setting, path, &error, "certificate");
    let read = settled::read_blocking(path).map_err(|error| fail(pem::Error::Io(error)))?;
    let read = CertificateDer::pem_slice_iter(&read).collect::<Result<Vec<_>, _>>();
    let read = read.map_err(fail)?;
    match read.is_empty() {
        true => Err(fail(pem::Error::NoItemsFound)),
        false => Ok(read),
    }
}

fn file_error(setting: &str, path: &Path, error: &pem::Error, what: &str) -> String {
    let path = path.display();
    match error {
        pem::Error::Io(error) => match error.kind() {
            io::ErrorKind::NotFound => format!("{setting} {path}: there is no such file"),
            _ => format!("{setting} {path}: {error}"),
        },
        _ => format!("{setting} {path}: there is no {what} in PEM form in it"),
    }
}

/// A verifier that accepts any name, for modes below `verify-full`. With authorities (`verify-ca`), one of them must
/// have signed the certificate; without (`prefer` and `require`), any certificate is accepted. In each case the server
/// must prove that it has the key of its certificate, because SCRAM's channel binding depends on that.
#[derive(Debug)]
struct OfAnyName {
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OfAnyName {
    fn verify_server_cert(
        &self,
        cert: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authorities) = &self.authorities else {
            return Ok(ServerCertVerified::assertion());
        };
        match authorities.verify_server_cert(cert, chain, name, ocsp, now) {
            // The name is checked last, after everything else was found valid.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
