//! Handlers of `/user` and `/mfa`: the account and its sign-ins.

use serde_json::json;

use super::Call;
use crate::contract::{Answer, Handled};

pub fn login(call: &mut Call<'_>) -> Handled {
    call.platform.accounts.login(&call.body, call.switches)
}

pub fn refresh(call: &mut Call<'_>) -> Handled {
    call.platform.accounts.refresh(&call.body, call.switches)
}

pub fn logout(call: &mut Call<'_>) -> Handled {
    Ok(call.platform.accounts.logout(call.bearer, &call.body))
}

pub fn profile(call: &mut Call<'_>) -> Handled {
    let user = call.platform.accounts.user(call.switches);
    Ok(Answer::ok(json!({"success": true, "data": user})))
}

pub fn verify_login(call: &mut Call<'_>) -> Handled {
    let accounts = &mut call.platform.accounts;
    accounts.verify(call.bearer, &call.body, call.switches)
}
