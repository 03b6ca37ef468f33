//! The answers of the operations.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A status and a JSON body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

/// The result of a handler. A refusal is an answer, too.
pub type Handled = Result<Answer, Answer>;

impl Answer {
    pub fn ok(body: Value) -> Self {
        Self { status: 200, body }
    }

    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = json!({"success": false, "message": message, "error_code": code});
        Self { status, body }
    }

    /// Returns a 404 that names the missing object.
    pub fn not_found(what: &str) -> Self {
        Self::error(404, "NOT_FOUND", &format!("{what} not found"))
    }

    pub fn bad(message: &str) -> Self {
        Self::error(400, "VALIDATION_ERROR", message)
    }

    /// Returns a 400 for a required field that is missing.
    pub fn lacks(field: &str) -> Self {
        Self::bad(&format!("{field} is required"))
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.body)).into_response()
    }
}
