//! The replica that hears of a change hands on to the one that has the key.

use serde_json::json;

use crate::support::client;
use crate::support::postgres::Postgres;
use crate::support::replicas::Replicas;

/// The token in the file `{dir}/token`, which is the one for Flashback, too.
const TOKEN: &str = "canary-flashback-token";

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_is_told_is_checked_by_those_that_have_the_keys() {
    let database = Postgres::shared().await.database().await;
    let daily = "[schedule]\ncheck = \"24h\"\n";
    let mut replicas = Replicas::new(&database, "5m", 12, daily).await;
    replicas.http = "notify_token = { file = \"{dir}/token\" }\n".to_owned();
    replicas.start(3).await;
    replicas.arrived(0).await;
    replicas.at_rest().await;
    replicas.rotate(1);
    let url = format!("{}/notify", replicas.all[0].http().await);
    for key in replicas.keys() {
        let notice = json!({ "source": "files", "path": key });
        let request = client().post(&url).bearer_auth(TOKEN);
        let answer = request.body(notice.to_string()).send().await;
        assert!(answer.expect("an answer").status().is_success());
    }
    replicas.arrived(1).await;
    replicas.sound(1);
}
