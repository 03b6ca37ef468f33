//! `[sources.….auth]` of a Vault.

use std::path::PathBuf;

use super::hints;
use super::value_types::MOUNT as MOUNT_PATH;
use crate::credential::{SecretRef, ValueRef};
use crate::setting::suggest::list;
use crate::setting::value_types::place::PATH;
use crate::setting::value_types::secret;
use crate::setting::value_types::text::{TEXT, words};
use crate::setting::{Choice, Described, Input, Reader, Settings, Shape, ValueType, settings};

/// `[sources.….auth]` of a Vault, with references to its secrets and values or with what they lead to. `mount` is where
/// the method is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultAuth<S = SecretRef, V = ValueRef> {
    /// `method = "token"`.
    Token {
        /// The token.
        token: S,
    },
    /// `method = "approle"`.
    AppRole {
        /// Default `approle`.
        mount: String,
        /// Not secret.
        role_id: V,
        /// The secret id; a role can do without one.
        secret_id: Option<S>,
    },
    /// `method = "kubernetes"`.
    Kubernetes {
        /// Default `kubernetes`.
        mount: String,
        /// The role.
        role: String,
        /// The service account's token; default: the file Kubernetes mounts in every pod.
        jwt: S,
    },
    /// `method = "jwt"`.
    Jwt {
        /// Default `jwt`.
        mount: String,
        /// The role; the method's default role where left out.
        role: Option<String>,
        /// The token.
        jwt: S,
    },
    /// `method = "userpass"`.
    Userpass {
        /// Default `userpass`.
        mount: String,
        /// Not secret.
        username: V,
        /// The password.
        password: S,
    },
    /// `method = "cert"`.
    Cert {
        /// Default `cert`.
        mount: String,
        /// The certificate role; any that matches where left out.
        role: Option<String>,
        /// A PEM file with the certificate and its chain.
        cert_file: PathBuf,
        /// A PEM file with the private key.
        key_file: PathBuf,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Token,
    AppRole,
    Kubernetes,
    Jwt,
    Userpass,
    Cert,
}

const METHODS: Choice<Method> = &[
    ("token", Method::Token),
    ("approle", Method::AppRole),
    ("kubernetes", Method::Kubernetes),
    ("jwt", Method::Jwt),
    ("userpass", Method::Userpass),
    ("cert", Method::Cert),
];

const METHOD_WORD: ValueType<Method> = ValueType {
    shape: Shape::Text(|| words(METHODS)),
    read: |input| input.choice(METHODS),
};

settings! {
    /// The auth method: token, approle, kubernetes, jwt, userpass or cert.
    METHOD: Method = "method", METHOD_WORD, Required;
    /// Where the method is mounted.
    MOUNT: String = "mount", MOUNT_PATH, Default;
    /// The token.
    TOKEN: SecretRef = "token", secret::SECRET, Required;
    /// The role's id. Not secret: a plain text or a reference.
    ROLE_ID: ValueRef = "role_id", secret::VALUE, Required;
    /// The secret id; a role that is bound to addresses can do without one.
    SECRET_ID: SecretRef = "secret_id", secret::SECRET, Optional;
    /// The role to sign in as.
    ROLE: String = "role", TEXT, Required;
    /// The role to sign in as. Default: the one the method is configured with.
    ANY_ROLE: String = "role", TEXT, Optional;
    /// The service account's token. Default: the file Kubernetes mounts in every pod.
    POD_JWT: SecretRef = "jwt", secret::SECRET, Default;
    /// The token to sign in with.
    JWT: SecretRef = "jwt", secret::SECRET, Required;
    /// The user. Not secret: a plain text or a reference.
    USERNAME: ValueRef = "username", secret::VALUE, Required;
    /// The user's password.
    PASSWORD: SecretRef = "password", secret::SECRET, Required;
    /// A PEM file with the client certificate and its chain.
    CERT_FILE: PathBuf = "cert_file", PATH, Required;
    /// A PEM file with the certificate's private key.
    KEY_FILE: PathBuf = "key_file", PATH, Required;
}

const BY_METHOD: &[(&str, Settings)] = &[
    ("token", &[&METHOD, &TOKEN]),
    ("approle", &[&METHOD, &MOUNT, &ROLE_ID, &SECRET_ID]),
    ("kubernetes", &[&METHOD, &MOUNT, &ROLE, &POD_JWT]),
    ("jwt", &[&METHOD, &MOUNT, &ANY_ROLE, &JWT]),
    ("userpass", &[&METHOD, &MOUNT, &USERNAME, &PASSWORD]),
    ("cert", &[&METHOD, &MOUNT, &ANY_ROLE, &CERT_FILE, &KEY_FILE]),
];

/// The value type of the table for signing in to a Vault.
pub(super) const AUTH: ValueType<VaultAuth> = ValueType {
    shape: Shape::Variants {
        by: "method",
        of: BY_METHOD,
    },
    read,
};

fn read(input: &mut Input<'_>) -> Option<VaultAuth> {
    let mut table = input.table("`[sources.ID.auth]` and its settings below it")?;
    let Some(method) = table.get(&METHOD) else {
        table.only(ALL);
        return None;
    };
    let word = METHODS.iter().find(|(_, meaning)| *meaning == method)?.0;
    let settings = BY_METHOD.iter().find(|(name, _)| *name == word)?.1;
    report_strangers(&mut table, word, settings);
    table.of_variant(METHOD.name, word);
    if let Some(span) = table.written(&MOUNT)
        && let Some(mount) = table.get(&MOUNT)
        && let Some(hint) = hints::auth_mount(&mount)
    {
        table.diagnostics.warn(Some(span), hint.text);
    }
    read_method(&mut table, method)
}

fn read_method(table: &mut Reader<'_, '_>, method: Method) -> Option<VaultAuth> {
    // Everything is read before anything is missed, so that every mistake is found.
    Some(match method {
        Method::Token => VaultAuth::Token {
            token: table.get(&TOKEN)?,
        },
        Method::AppRole => {
            let (mount, role_id) = (table.get(&MOUNT), table.get(&ROLE_ID));
            VaultAuth::AppRole {
                secret_id: table.get(&SECRET_ID),
                mount: mount?,
                role_id: role_id?,
            }
        }
        Method::Kubernetes => {
            let (mount, role, jwt) = (table.get(&MOUNT), table.get(&ROLE), table.get(&POD_JWT));
            VaultAuth::Kubernetes {
                mount: mount?,
                role: role?,
                jwt: jwt?,
            }
        }
        Method::Jwt => {
            let (mount, role, jwt) = (table.get(&MOUNT), table.get(&ANY_ROLE), table.get(&JWT));
            VaultAuth::Jwt {
                mount: mount?,
                role,
                jwt: jwt?,
            }
        }
        Method::Userpass => {
            let (mount, username) = (table.get(&MOUNT), table.get(&USERNAME));
            let password = table.get(&PASSWORD);
            VaultAuth::Userpass {
                mount: mount?,
                username: username?,
                password: password?,
            }
        }
        Method::Cert => {
            let (mount, role) = (table.get(&MOUNT), table.get(&ANY_ROLE));
            let (cert_file, key_file) = (table.get(&CERT_FILE), table.get(&KEY_FILE));
            VaultAuth::Cert {
                mount: mount?,
                role,
                cert_file: cert_file?,
                key_file: key_file?,
            }
        }
    })
}

/// Reports settings that the method does not have, with different messages for settings of other methods and of none.
fn report_strangers(table: &mut Reader<'_, '_>, method: &str, settings: Settings) {
    let others = |name: &str| {
        let with = BY_METHOD
            .iter()
            .filter(|(_, settings)| settings.iter().any(|known| known.name() == name));
        list(with.map(|(method, _)| *method))
    };
    let is_known = |name: &str| settings.iter().any(|known| known.name() == name);
    let mut known_here: Vec<&dyn Described> = settings.to_vec();
    for entry in &table.tree.entries {
        let methods = others(&entry.name);
        if is_known(&entry.name) || methods.is_empty() {
            continue;
        }
        known_here.extend(ALL.iter().find(|known| known.name() == entry.name).copied());
        let names = settings.iter().map(|known| known.name());
        let message = format!("`{}` does not belong to method `{method}`", entry.name);
        table
            .diagnostics
            .mistake(entry.name_span, message)
            .help(format!(
                "it belongs to {methods}; `{method}` takes {}",
                list(names.filter(|name| *name != METHOD.name)).replace(" or ", " and ")
            ));
    }
    table.only(&known_here);
}
