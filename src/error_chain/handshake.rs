//! The meaning of failed TLS handshakes, and advice for the operator.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use crate::words;

/// Describes a TLS error: in this program's words if an operator can fix it, otherwise in the library's.
pub(super) fn meaning(error: &Error) -> String {
    let known = match error {
        Error::InvalidCertificate(certificate) => of_certificate(certificate),
        // The first bytes of another protocol do not parse as a TLS record.
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => Some(
            "what answers there does not speak TLS: is the address one of `http://`, or the port another service's?",
        ),
        Error::AlertReceived(alert) => of_alert(*alert),
        _ => None,
    };
    known.map_or_else(|| words::shown(&error.to_string(), &[]), str::to_owned)
}

fn of_certificate(error: &CertificateError) -> Option<&'static str> {
    use CertificateError as E;
    Some(match error {
        E::UnknownIssuer => {
            "the server's certificate is signed by an authority that is not trusted here: name the authority's file in `ca_file` (a Vault source), `sslrootcert` (PostgreSQL) or SSL_CERT_FILE"
        }
        E::Expired | E::ExpiredContext { .. } => {
            "the server's certificate has expired, or this machine's clock is ahead: have the certificate renewed"
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet, or this machine's clock is behind: check `timedatectl`"
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            "the server's certificate is of another name: write the host as the certificate names it"
        }
        E::Revoked => "the server's certificate is revoked: have it replaced",
        _ => return None,
    })
}

/// Describes the server's objection to this client.
fn of_alert(alert: AlertDescription) -> Option<&'static str> {
    use AlertDescription as A;
    Some(match alert {
        A::CertificateRequired => {
            "the server asks for a client's certificate, and none is configured"
        }
        A::UnknownCA | A::BadCertificate | A::CertificateUnknown | A::UnsupportedCertificate => {
            "the server does not take the client's certificate: is it signed by an authority that the server knows?"
        }
        A::CertificateExpired => "the client's certificate has expired: renew it",
        A::CertificateRevoked => "the client's certificate is revoked: replace it",
        A::ProtocolVersion => {
            "the server speaks no TLS 1.2 or 1.3, and nothing older is spoken here"
        }
        A::UnrecognisedName => {
            "the server has no certificate for this host's name: is the address right?"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_handshake_errors_say_what_to_do() {
        for (error, words) in [
            (
                Error::InvalidCertificate(CertificateError::UnknownIssuer),
                "`ca_file`",
            ),
            (
                Error::InvalidCertificate(CertificateError::Expired),
                "renewed",
            ),
            (
                Error::InvalidCertificate(CertificateError::NotValidYet),
                "`timedatectl`",
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "`http://`",
            ),
            (
                Error::AlertReceived(AlertDescription::CertificateRequired),
                "none is configured",
            ),
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                "an authority that the server knows",
            ),
        ] {
            let said = meaning(&error);
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn unknown_handshake_errors_keep_the_librarys_message() {
        let error = Error::AlertReceived(AlertDescription::InternalError);
        assert_eq!(meaning(&error), "received fatal alert: InternalError");
    }
}
