//! The style and the script embedded in the page, and the content security policy that admits nothing else.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// The page's entire style sheet.
pub const STYLE: &str = include_str!("style.css");

/// The page's entire script.
pub const SCRIPT: &str = include_str!("refresh.js");

/// The content security policy: nothing is loaded from elsewhere, and of what is embedded only [`STYLE`] and
/// [`SCRIPT`] take effect.
pub static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        digest(STYLE),
        digest(SCRIPT)
    );
    HeaderValue::from_str(&policy).expect("plain ASCII")
});

/// The build of the page. An open page that was made by another version of this program compares it and
/// reloads.
pub static BUILD: LazyLock<String> = LazyLock::new(|| digest(&format!("{STYLE}{SCRIPT}")));

fn digest(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}
