//! The sandbox's account: its profile, its second factor, the end of its sessions.

use std::time::{SystemTime, UNIX_EPOCH};

use flashback_rotator::flashback::sandbox::{Sandbox, Seed, USER_ID};
use flashback_rotator::flashback::totp;
use reqwest::Method;
use serde_json::{Value, json};

use super::sandbox::{ask, ask_as};
use crate::support::sandbox::{EMAIL, PASSWORD, TOKEN, secret, start};

const SEED: &str = "JBSWY3DPEHPK3PXP";

async fn login(sandbox: &Sandbox) -> Value {
    let login = json!({"email": EMAIL, "password": PASSWORD});
    let (status, tokens) = ask(sandbox, Method::POST, "/user/login", login).await;
    assert_eq!(
        (status, &tokens["success"]),
        (200, &json!(true)),
        "{tokens}"
    );
    tokens
}

/// The code of the step that is so many steps from now.
fn code(steps: i64) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let then = now.as_secs().saturating_add_signed(steps * 30);
    totp::code(SEED, then).expect("a code")
}

#[tokio::test]
async fn the_profile_says_who_the_caller_is() {
    let sandbox = start().await;
    let (status, body) = ask(&sandbox, Method::GET, "/user/profile", Value::Null).await;
    assert_eq!((status, &body["success"]), (200, &json!(true)));
    assert_eq!(
        body["data"],
        json!({"id": USER_ID, "email": EMAIL, "name": "Rotator", "orgId": "sandbox-organisation",
            "orgRole": 255, "mfaRequired": false})
    );
    let tokens = login(&sandbox).await;
    assert_eq!(tokens["user"]["id"], USER_ID);
    assert_eq!(
        ask_as(&sandbox, "wrong", Method::GET, "/user/profile", Value::Null)
            .await
            .0,
        401
    );
}

#[tokio::test]
async fn logging_out_ends_the_session() {
    let sandbox = start().await;
    let tokens = login(&sandbox).await;
    let access = tokens["accessToken"].as_str().expect("a token");
    let refresh = json!({"refresh_token": tokens["refreshToken"]});
    let logout = async |token: &str, body: Value| {
        ask_as(&sandbox, token, Method::POST, "/user/logout", body)
            .await
            .0
    };
    assert_eq!(logout(access, json!({})).await, 400);
    assert_eq!(logout(access, refresh.clone()).await, 200);
    assert_eq!(
        logout(access, refresh.clone()).await,
        401,
        "the bearer has ended, too"
    );
    assert_eq!(
        ask(&sandbox, Method::POST, "/user/refresh", refresh)
            .await
            .0,
        401
    );
}

#[tokio::test]
async fn a_limited_token_is_good_for_the_second_factor_alone() {
    let sandbox = start().await;
    let turn = json!({"enforce_mfa": true, "totp": SEED});
    let (status, switches) = ask(&sandbox, Method::PATCH, "/_sandbox/switches", turn).await;
    assert_eq!(status, 200);
    assert!(!switches.to_string().contains(SEED), "{switches}");
    let tokens = login(&sandbox).await;
    assert_eq!(tokens["user"]["mfaRequired"], true);
    assert!(tokens.get("refreshToken").is_none(), "{tokens}");
    let limited = tokens["accessToken"].as_str().expect("a token");
    for path in ["/ai/llm", "/apikeys", "/user/profile"] {
        let (status, body) = ask_as(&sandbox, limited, Method::GET, path, Value::Null).await;
        assert_eq!(
            (status, &body["error_code"]),
            (403, &json!("MFA_REQUIRED")),
            "{path}"
        );
        let message = body["message"].as_str().expect("a text");
        assert!(message.contains("second factor"), "{message}");
    }

    let verify = async |token: &str, kind: &str, code: &str| {
        let body = json!({"mfaType": kind, "code": code});
        ask_as(&sandbox, token, Method::POST, "/mfa/verify-login", body).await
    };
    let now = code(0);
    let wrong = if now == "000000" { "000001" } else { "000000" };
    assert_eq!(verify(limited, "GOOGLE_AUTH", wrong).await.0, 401);
    assert_eq!(verify(limited, "PASSKEY", &now).await.0, 400);
    assert_eq!(verify(limited, "SMS", &now).await.0, 400);
    assert_eq!(
        verify(TOKEN, "GOOGLE_AUTH", &now).await.0,
        400,
        "a full token"
    );
    assert_eq!(verify("wrong", "GOOGLE_AUTH", &now).await.0, 401);
    let (status, full) = verify(limited, "GOOGLE_AUTH", &now).await;
    assert_eq!((status, &full["success"]), (200, &json!(true)), "{full}");
    let access = full["fullAccessToken"].as_str().expect("a token");
    assert_eq!(
        ask_as(&sandbox, access, Method::GET, "/ai/llm", Value::Null)
            .await
            .0,
        200
    );
    let refresh = json!({"refreshToken": full["refreshToken"]});
    let (status, again) = ask(&sandbox, Method::POST, "/user/refresh", refresh).await;
    assert_eq!(status, 200, "a session that is verified stays so");
    let access = again["accessToken"].as_str().expect("a token");
    assert_eq!(
        ask_as(&sandbox, access, Method::GET, "/ai/llm", Value::Null)
            .await
            .0,
        200
    );

    let limited = login(&sandbox).await;
    let limited = limited["accessToken"].as_str().expect("a token");
    assert_eq!(
        verify(limited, "GOOGLE_AUTH", &now).await.0,
        401,
        "a code works once"
    );
}

#[tokio::test]
async fn a_neighbours_code_is_good_and_another_is_not() {
    let sandbox = start().await;
    sandbox.change(|switches| {
        switches.enforce_mfa = true;
        switches.totp = Some(Seed(secret(SEED)));
    });
    for (steps, expected) in [(-3, 401), (3, 401), (1, 200)] {
        let limited = login(&sandbox).await;
        let limited = limited["accessToken"].as_str().expect("a token");
        let body = json!({"mfaType": "GOOGLE_AUTH", "code": code(steps)});
        let (status, _) = ask_as(&sandbox, limited, Method::POST, "/mfa/verify-login", body).await;
        assert_eq!(status, expected, "{steps} steps away");
    }
}
