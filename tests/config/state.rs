//! Where the state is: what a URL says, and mistakes in it.

use std::time::Duration;

use flashback_rotator::config::{
    PostgresConfig, PostgresHost, SecretRef, SslMode, SslRoots, StateConfig,
};

use super::cases::Case;
use super::{GOOD, load};

/// As in [`CASES`](super::cases::CASES).
pub const CASES: &[Case] = &[
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = ‸\"postgres://rotator:CANARY@host/db\"",
        "`url` has a password in it",
        "take it out and change it",
    ),
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = ‸\"postgres://rotator@host/db?password=CANARY\"",
        "`url` has a password in it",
        "write `password = {",
    ),
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = ‸\"postgres://CANARY/db\"",
        "`url` names no user",
        "`postgres://user@host/database`",
    ),
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = ‸\"postgres://rotator@/db\" # CANARY",
        "`url` names no host",
        "`postgres://user@host/database`",
    ),
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = ‸\"postgres://rotator@host:CANARY/db\"",
        "`url` has a port that is no number",
        "as in `host:5432`",
    ),
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = ‸\"postgres://rotator@host/db?CANARY=1\"",
        "`url` has a parameter that is not known here",
        "it can have `sslmode`,",
    ),
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = ‸\"postgres://rotator@host/db?sslmode=CANARY\"",
        "`url` has an unknown `sslmode`",
        "or `verify-full`",
    ),
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = ‸\"postgres://rotator@host/db?sslmode=verify-ca\" # CANARY",
        "without `sslrootcert`",
        "write `sslrootcert=PATH`",
    ),
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = ‸\"postgres://rotator@host/db?sslrootcert=/CANARY\"",
        "a `sslmode` that checks nothing",
        "write `sslmode=verify-full`",
    ),
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = ‸\"postgres://rotator@host/db?sslmode=require&sslrootcert=system\" # CANARY",
        "`sslrootcert=system` without `sslmode=verify-full`",
        "for anybody",
    ),
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = ‸\"postgres://rotator@host/db?sslmode=require&sslcert=/CANARY\"",
        "one of `sslcert` and `sslkey` without the other",
        "write both",
    ),
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = ‸\"postgres://rotator@host/db?connect_timeout=CANARY\"",
        "has a `connect_timeout`",
        "`connect_timeout=5`",
    ),
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = ‸\"postgres://rotator@host/db?target_session_attrs=CANARY\"",
        "has a `target_session_attrs` that will not do",
        "write `read-write`",
    ),
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = \"postgres://rotator@host/db\"\npassword = ‸\"CANARY\"",
        "`password` is a secret",
        "`{ file = \"PATH\" }`",
    ),
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = \"postgres://rotator@host/db\"\npassword = ‸{ source = \"vault\", path = \"CANARY\" }",
        "`password` cannot be in a source",
        "`{ credential = \"NAME\" }`",
    ),
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = \"sqlite:///CANARY\"\npassword = ‸{ env = \"CANARY\" }",
        "a SQLite file has no password",
        "postgres://user@host/database",
    ),
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = \"postgres://rotator@host/db\"\nlease = ‸\"1s\" # CANARY",
        "`lease` must be 3s or longer",
        "such as",
    ),
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = \"postgres://rotator@host/db\"\nlease = ‸\"1h\" # CANARY",
        "`lease` must be 5m or shorter",
        "such as `15s`",
    ),
    (
        "url = \"sqlite:///var/lib/flashback-rotator/state.db\"",
        "url = ‸\"/var/lib/CANARY.db\"",
        "`url` is neither a SQLite file nor a PostgreSQL database",
        "write `sqlite://`",
    ),
];

const URL: &str = "url = \"sqlite:///var/lib/flashback-rotator/state.db\"";

fn state(lines: &str) -> StateConfig {
    let text = GOOD.replacen(URL, lines, 1);
    load(&text).expect(lines).config.state
}

fn postgres(lines: &str) -> PostgresConfig {
    match state(lines) {
        StateConfig::Postgres(postgres) => *postgres,
        other => panic!("{lines}: {other:?}"),
    }
}

#[test]
fn a_url_says_what_it_says_to_psql() {
    let host = |host: &str, port| PostgresHost {
        host: host.to_owned(),
        port,
    };
    let least = PostgresConfig {
        hosts: vec![host("db", 5432)],
        user: "rotator".to_owned(),
        dbname: "rotator".to_owned(),
        password: None,
        sslmode: SslMode::Prefer,
        sslrootcert: None,
        sslcert: None,
        channel_binding: None,
        read_write: false,
        connect_timeout: None,
        application_name: None,
        options: None,
        lease: Duration::from_secs(15),
    };
    assert_eq!(postgres("url = \"postgres://rotator@db\""), least);
    assert_eq!(postgres("url = \"postgresql://rotator@db/\""), least);
    let much = "url = \"postgres://r%40b@one:1,[::1]:2,three/d%2fb?sslmode=verify-full\
        &sslrootcert=/a%20b&sslcert=/c&sslkey=/k&channel_binding=require&connect_timeout=9\
        &target_session_attrs=primary&application_name=me&options=-c%20search_path%3Dx\"\n\
        password = { env = \"PW\" }\nlease = \"1m\"";
    let expected = PostgresConfig {
        hosts: vec![host("one", 1), host("::1", 2), host("three", 5432)],
        user: "r@b".to_owned(),
        dbname: "d/b".to_owned(),
        password: Some(SecretRef::Env("PW".to_owned())),
        sslmode: SslMode::VerifyFull,
        sslrootcert: Some(SslRoots::File("/a b".into())),
        sslcert: Some(("/c".into(), "/k".into())),
        channel_binding: Some(true),
        read_write: true,
        connect_timeout: Some(Duration::from_secs(9)),
        application_name: Some("me".to_owned()),
        options: Some("-c search_path=x".to_owned()),
        lease: Duration::from_secs(60),
    };
    assert_eq!(postgres(much), expected);
    assert_eq!(
        state(much).to_string(),
        "postgres://r@b@one:1,[::1]:2,three/d/b"
    );
    let socket = postgres("url = \"postgres://rotator@/db?host=/run/postgresql\"");
    assert_eq!(socket.hosts, [host("/run/postgresql", 5432)]);
    assert!(socket.hosts[0].is_socket());
}

#[test]
fn sslmode_and_sslrootcert_combine_as_in_libpq() {
    let tls = |parameters: &str| {
        let read = postgres(&format!("url = \"postgres://rotator@db/db?{parameters}\""));
        (read.sslmode, read.sslrootcert)
    };
    let system = (SslMode::VerifyFull, Some(SslRoots::System));
    assert_eq!(tls("sslmode=verify-full"), system);
    assert_eq!(tls("sslrootcert=system"), system);
    // As libpq has it: a file to check against is there to be used.
    let file = Some(SslRoots::File("/ca".into()));
    let checked = (SslMode::VerifyCa, file);
    assert_eq!(tls("sslmode=require&sslrootcert=/ca"), checked);
    assert_eq!(tls("sslmode=require"), (SslMode::Require, None));
}
