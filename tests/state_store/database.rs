//! The database itself: how it is opened, who makes the tables, and what is said and done when it
//! cannot be used.

use std::time::Duration;

use flashback_rotator::model::Record;
use flashback_rotator::state::postgres::Postgres;
use flashback_rotator::state::wakeups::Wakeups as _;
use flashback_rotator::state::{StateError, StateStore as _};
use futures_util::future::join_all;

use super::wakeups::wakeup;
use super::{Server, database, key, note, opened};
use crate::support::eventually;
use crate::support::postgres::config;
use crate::support::rotator::binary;

/// Opens what must not open, and gives the words for it.
async fn refused(state: &str) -> String {
    let opened = Postgres::open(&config(state)).await;
    let error = opened.err().expect("it does not open").to_string();
    assert!(!error.contains("canary"), "{error}");
    error
}

#[tokio::test]
async fn the_tables_are_made_once_by_many_at_once() {
    let database = database().await;
    let beside = Postgres::open_beside(&database.config()).await;
    assert!(
        beside.expect("it answers").is_none(),
        "nobody has made them"
    );
    let admin = Server::shared().await.admin(&database.name).await;
    let count = async |what: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {what}");
        admin.query_one(&sql, &[]).await.expect("counted").get(0)
    };
    let tables = "pg_tables WHERE tablename LIKE 'rotator%'";
    assert_eq!(count(tables).await, 0, "and looking makes none");
    let stores = join_all((0..8).map(|_| opened(&database))).await;
    let digests = join_all(stores.iter().map(|store| async {
        let maker = store.fingerprinter().await.expect("read");
        maker.bytes(b"x")
    }));
    let digests = digests.await;
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    assert_eq!(count("rotator_schema").await, 1);
}

#[tokio::test]
async fn tables_of_a_newer_program_are_used_where_they_need_no_newer_one() {
    let database = database().await;
    drop(opened(&database).await);
    let admin = Server::shared().await.admin(&database.name).await;
    let newer = "ALTER TABLE rotator_keys ADD COLUMN later json;
        INSERT INTO rotator_schema (number, needs, program) VALUES (6, 1, '9.9.9')";
    admin.batch_execute(newer).await.expect("done");
    let store = opened(&database).await;
    let record = Record::new(key("a"));
    store.save(&record, None).await.expect("saved");
    let strange = "INSERT INTO rotator_schema (number, needs, program) VALUES (7, 7, '9.9.9')";
    admin.batch_execute(strange).await.expect("done");
    for error in [
        Postgres::open(&database.config()).await.err(),
        Postgres::open_beside(&database.config()).await.err(),
    ] {
        let newer = matches!(
            &error,
            Some(StateError::Newer {
                found: 7,
                known: 5,
                ..
            })
        );
        assert!(newer, "{error:?}");
    }
}

#[tokio::test]
async fn tables_of_schema_4_are_added_to_once_and_keep_what_they_have() {
    let database = database().await;
    let record = Record::new(key("a"));
    let store = opened(&database).await;
    store.save(&record, None).await.expect("saved");
    drop(store);
    let admin = Server::shared().await.admin(&database.name).await;
    let older = "DROP TABLE rotator_wakeups; UPDATE rotator_schema SET number = 4, needs = 4";
    admin.batch_execute(older).await.expect("done");
    let beside = Postgres::open_beside(&database.config()).await;
    let beside = beside.expect("it answers").expect("there is a state");
    assert_eq!(beside.load(&key("a")).await, Ok(record.clone()));
    let stores = join_all((0..4).map(|_| opened(&database))).await;
    assert_eq!(stores[0].load(&key("a")).await, Ok(record));
    stores[3]
        .hand_on(&[wakeup("a", "v1", None)])
        .await
        .expect("left");
    // A program of schema 4 goes on working beside them.
    let sql = "SELECT max(number), max(needs), count(*) FROM rotator_schema";
    let row = admin.query_one(sql, &[]).await.expect("read");
    assert_eq!((row.get(0), row.get(1), row.get(2)), (5_i64, 4_i64, 2_i64));
}

#[tokio::test]
async fn refuses_tables_of_an_earlier_schema() {
    let database = database().await;
    drop(opened(&database).await);
    let admin = Server::shared().await.admin(&database.name).await;
    let older = "UPDATE rotator_schema SET number = 3, needs = 1";
    admin.batch_execute(older).await.expect("done");
    for error in [
        Postgres::open(&database.config()).await.err(),
        Postgres::open_beside(&database.config()).await.err(),
    ] {
        let older = matches!(&error, Some(StateError::Older { found: 3, .. }));
        assert!(older, "{error:?}");
    }
}

#[tokio::test]
async fn a_table_that_is_locked_is_not_waited_for_without_end() {
    let database = database().await;
    let store = opened(&database).await;
    let record = Record::new(key("a"));
    store.save(&record, None).await.expect("saved");
    let busy = Server::shared().await.admin(&database.name).await;
    let lock = "BEGIN; LOCK TABLE rotator_keys IN ACCESS EXCLUSIVE MODE";
    busy.batch_execute(lock).await.expect("locked");
    let error = store.save(&record, None).await.expect_err("it is locked");
    assert!(error.to_string().contains("kept"), "{error}");
    // Whoever gives up waiting leaves nothing behind that others would wait for.
    store.note_check(&key("a"), note(1, None));
    for _ in 0..20 {
        let saved = store.save(&record, None);
        let given_up = tokio::time::timeout(Duration::from_millis(30), saved).await;
        assert!(given_up.is_err());
    }
    busy.batch_execute("ROLLBACK").await.expect("let go");
    store.save(&record, None).await.expect("saved");
}

#[tokio::test]
async fn a_server_that_went_away_is_found_again() {
    let mut server = Server::own().await;
    let database = server.database().await;
    let store = opened(&database).await;
    let mut record = Record::new(key("a"));
    for turn in 1..=3 {
        server.stop();
        let error = store.save(&record, None).await.expect_err("it is away");
        assert!(matches!(error, StateError::Failed { .. }), "{error}");
        record.look = note(turn, None);
        store.note_check(&key("a"), record.look.clone());
        server.run();
        eventually("it is found again", async || store.flush().await.ok()).await;
        let kept = store.load(&key("a")).await.expect("read").look;
        assert_eq!(kept, record.look, "what could not be written was kept");
    }
}

#[tokio::test]
async fn connection_errors_name_their_cause_and_remedy() {
    let database = database().await;
    let admin = Server::shared().await.admin(&database.name).await;
    let url = format!("url = \"{}\"", database.url());
    let gone = url.replace(&database.name, "no_such");
    let error = refused(&gone).await;
    assert!(error.contains("has no such database: create it"), "{error}");
    assert!(error.contains("postgres://rotator@127.0.0.1:"), "{error}");
    let nobody = url.replace("rotator@", "nobody-here@");
    let error = refused(&nobody).await;
    assert!(error.contains("pg_hba.conf"), "{error}");
    let strange = url.replace(&database.name, "postgres");
    let error = refused(&strange).await;
    assert!(error.contains("GRANT USAGE, CREATE ON SCHEMA"), "{error}");
    for (setting, words) in [
        ("default_transaction_read_only = on", "it takes no writes"),
        ("search_path = 'nowhere'", "see search_path"),
    ] {
        let name = &database.name;
        let change = format!("ALTER DATABASE {name} SET {setting}");
        admin.batch_execute(&change).await.expect("set");
        let error = refused(&url).await;
        assert!(error.contains(words), "{error}");
        let back = format!("ALTER DATABASE {name} RESET ALL");
        admin.batch_execute(&back).await.expect("reset");
    }
    let full = format!("ALTER DATABASE {} CONNECTION LIMIT 0", database.name);
    admin.batch_execute(&full).await.expect("set");
    let error = refused(&url).await;
    assert!(error.contains("no connection left"), "{error}");
    let error = refused("url = \"postgres://rotator@127.0.0.1:1/rotator\"").await;
    assert!(error.contains("connection refused"), "{error}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let silent = format!("127.0.0.1:{port}/rotator?connect_timeout=1");
    let error = refused(&format!("url = \"postgres://rotator@{silent}\"")).await;
    assert!(error.contains("does not answer within 1s"), "{error}");
}

#[tokio::test]
async fn the_next_host_is_tried_and_a_socket_too() {
    let server = Server::shared().await;
    let database = server.database().await;
    let hosts = format!("127.0.0.1:1,127.0.0.1:{}", server.port);
    let url = database.url();
    let one = format!("127.0.0.1:{}", server.port);
    let several = url.replace(&one, &hosts);
    let several = format!("url = \"{several}?target_session_attrs=read-write\"");
    Postgres::open(&config(&several)).await.expect("the second");
    let directory = server.path().display();
    let socket = format!(
        "url = \"postgresql://rotator@/{}?host={directory}:{}&sslmode=require\"",
        database.name, server.port
    );
    let store = Postgres::open_beside(&config(&socket)).await;
    assert!(store.expect("it answers").is_some());
}

#[tokio::test]
async fn the_password_is_read_again_at_each_connection() {
    let rules = "host all all 127.0.0.1/32 scram-sha-256\n";
    let server = Server::start("", rules).await;
    let database = server.database().await;
    let admin = server.admin("postgres").await;
    let set = async |password: &str| {
        let sql = format!("ALTER ROLE rotator PASSWORD '{password}'");
        admin.batch_execute(&sql).await.expect("set");
    };
    set("canary-one").await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("password");
    let url = format!("url = \"{}\"", database.url());
    let state = format!("{url}\npassword = {{ file = \"{}\" }}", path.display());
    let error = refused(&state).await;
    assert!(error.contains("its password: cannot read"), "{error}");
    std::fs::write(&path, "canary-wrong\n").expect("written");
    let error = refused(&state).await;
    assert!(error.contains("the server refuses the password"), "{error}");
    std::fs::write(&path, "canary-one\n").expect("written");
    let store = Postgres::open(&config(&state)).await.expect("it opens");
    // The password is changed, and every connection ends.
    set("canary-two").await;
    std::fs::write(&path, "canary-two\n").expect("written");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotator'";
    admin.batch_execute(end).await.expect("ended");
    eventually("it signs in anew", async || store.load_all().await.ok()).await;

    // Without a reference, psql's file is read.
    let config = directory.path().join("config.toml");
    let text = format!("[flashback.auth]\ntoken = {{ env = \"TOKEN\" }}\n[state]\n{url}\n");
    std::fs::write(&config, text).expect("written");
    let status = async |file: &str| {
        let mut command = binary();
        command.args(["status", "--json", "--config"]).arg(&config);
        command.env("PGPASSFILE", directory.path().join(file));
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        let output = output.expect("it ends").expect("it starts");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!error.contains("canary"), "{error}");
        (output.status.code(), error)
    };
    let (code, error) = status("none").await;
    assert_eq!(code, Some(1));
    assert!(
        error.contains("the server asks for a password, and there is none"),
        "{error}"
    );
    let line = "127.0.0.1:*:*:rotator:canary-two\n";
    server.put("pgpass", line);
    let path = directory.path().join("pgpass");
    std::fs::copy(server.path().join("pgpass"), &path).expect("copied");
    let (code, error) = status("pgpass").await;
    assert_eq!(code, Some(0), "{error}");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .expect("opened");
    let (code, error) = status("pgpass").await;
    assert_eq!(code, Some(1));
    assert!(error.contains("chmod 600"), "{error}");
}
