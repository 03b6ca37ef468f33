//! What is kept apart: a sign-in's secret goes over a connection that nothing else uses, and no
//! connection is kept that nobody needs.

use super::*;
use crate::support::{eventually, sandbox as login};

/// How long a connection may stay open that nobody needs.
const IDLE: Duration = Duration::from_secs(30);

/// Requires that each sign-in had a connection of its own, which is closed.
async fn is_alone(front: &Front, path: &str) {
    let came = front.came();
    let (sign_ins, others): (Vec<_>, Vec<_>) =
        came.iter().partition(|came| came.line.starts_with(path));
    assert!(!sign_ins.is_empty() && !others.is_empty(), "{came:?}");
    for (number, sign_in) in sign_ins.iter().enumerate() {
        let mut rest = others.iter().chain(&sign_ins[..number]);
        let shared = rest.any(|other| other.connection == sign_in.connection);
        assert!(!shared, "{came:#?}");
        eventually("the connection of a sign-in is closed", || async {
            (!front.is_open(sign_in.connection)).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vault_sees_the_secret_of_a_sign_in_on_a_connection_of_its_own() {
    let bao = OpenBao::shared().await;
    bao.write_policy("alone", "path \"secret/*\" { capabilities = [\"read\"] }")
        .await;
    // It signs in every few seconds.
    let parameters = json!({"token_policies": "alone", "token_ttl": "3s", "token_type": "batch"});
    let (role, secret) = bao.app_role("alone", parameters).await;
    let authority = Authority::new("authority");
    let mut scene = Scene::set(Service::Vault, "alone", &authority).await;
    std::fs::write(scene.rotator.path().join("secret-id"), secret).expect("written");
    let config = std::fs::read_to_string(scene.rotator.config()).expect("a configuration");
    let root = scene.rotator.path().join("root").display().to_string();
    let token = format!("method = \"token\"\ntoken = {{ file = \"{root}\" }}");
    let app_role = format!(
        "method = \"approle\"\nmount = \"alone\"\nrole_id = \"{role}\"\nsecret_id = {{ file = \"{{dir}}/secret-id\" }}"
    );
    assert!(config.contains(&token));
    scene
        .rotator
        .write_config(&config.replace(&token, &app_role));
    scene.start().await;
    let path = "POST /v1/auth/alone/login";
    eventually("three sign-ins", || async {
        let came = scene.front.came();
        let sign_ins = came.iter().filter(|came| came.line.starts_with(path));
        (sign_ins.count() >= 3).then_some(())
    })
    .await;
    is_alone(&scene.front, path).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flashback_sees_the_password_on_a_connection_of_its_own() {
    let authority = Authority::new("authority");
    let sandbox = sandbox(login::options()).await;
    let front = Front::start(&sandbox.url(), certificate(&authority).server()).await;
    let url = front.url();
    let mut scene = Scene::reached_at(&url, Service::Flashback, "k", &authority, sandbox, front);
    let auth = "email = \"rotator@example.com\"\npassword = { file = \"{dir}/password\" }";
    std::fs::write(scene.rotator.path().join("password"), login::PASSWORD).expect("written");
    let config = std::fs::read_to_string(scene.rotator.config()).expect("a configuration");
    let token = scene.rotator.path().join("token").display().to_string();
    let token = format!("token = {{ file = \"{token}\" }}");
    assert!(config.contains(&token));
    scene.rotator.write_config(&config.replace(&token, auth));
    scene.start().await;
    scene.sandbox.revoke_access();
    scene.sandbox.revoke_refresh();
    scene.rotate("sk-second").await;
    arrives(&scene.sandbox, "k", "sk-second").await;
    is_alone(&scene.front, "POST /user/login").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_nobody_needs_is_closed() {
    let authority = Authority::new("authority");
    let mut scene = Scene::set(Service::Flashback, "idle", &authority).await;
    scene.rotator.watch_edits("off");
    scene.start().await;
    // How many requests there were, and since when.
    let last = std::cell::Cell::new((0, Instant::now()));
    eventually("no connection is open", || async {
        let came = scene.front.came().len();
        if came != last.get().0 {
            last.set((came, Instant::now()));
        }
        (scene.front.open() == 0).then_some(())
    })
    .await;
    let idle = last.get().1.elapsed();
    assert!(idle < IDLE, "{idle:?}");
}
