//! A directory of files, one a secret.
