//! The style and the script that stand in the page, and the policy that lets nothing else in.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// The page's style, all of it.
pub const STYLE: &str = include_str!("style.css");

/// The page's script, all of it.
pub const SCRIPT: &str = include_str!("refresh.js");

/// The policy: nothing comes from elsewhere, and of what stands in the page only these two run and count.
pub static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        digest(STYLE),
        digest(SCRIPT)
    );
    HeaderValue::from_str(&policy).expect("plain ASCII")
});

/// Tells a page that was loaded from an older version of this program that it must load itself anew.
pub static BUILD: LazyLock<String> = LazyLock::new(|| digest(&format!("{STYLE}{SCRIPT}")));

fn digest(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}
