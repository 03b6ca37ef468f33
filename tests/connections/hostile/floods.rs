//! Floods of frames over HTTP/2.

use super::*;
use crate::support::flood::{Flood, Frames};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_frames_harm_nobody_else() {
    let authority = Authority::new("authority");
    let mut floods = Vec::new();
    let mut rest = format!("{QUICK}{}", file_key("other"));
    for frames in Frames::ALL {
        let name = format!("{frames:?}").to_lowercase();
        for (id, is_vault) in [
            (format!("vault-{name}"), true),
            (format!("aws-{name}"), false),
        ] {
            let flood = Flood::start(frames, certificate(&authority).server()).await;
            rest += &match is_vault {
                true => {
                    let token = token_in("root");
                    configuration::vault(&id, &flood.url, TRUSTED, &token)
                }
                false => aws(&id, &flood.url),
            };
            rest += &key(&id, &id, &id);
            floods.push((id, flood));
        }
    }
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = bounded(&sandbox.url(), &rest);
    let authorities = rotator.path().join("ca.pem");
    std::fs::write(&authorities, authority.pem()).expect("written");
    std::fs::write(rotator.path().join("root"), ROOT).expect("written");
    let bundle = (
        "SSL_CERT_FILE".to_owned(),
        authorities.display().to_string(),
    );
    rotator.environment.push(bundle);
    rotator.environment.extend(aws_credentials());
    rotator.start();
    let began = Instant::now();
    for round in 0.. {
        let value = format!("sk-{round}");
        rotator.put("other", &value);
        delivers("floods", &sandbox, &mut rotator, "other", &value).await;
        let status = rotator.json(&["status"]).await;
        let rows = status["keys"].as_array().expect("rows");
        let failed = |id: &str| {
            let row = rows.iter().find(|row| row["key"] == id);
            row.is_some_and(|row| row["error"].is_string())
        };
        let left: Vec<_> = floods
            .iter()
            .filter(|(id, flood)| flood.over().is_empty() || !failed(id))
            .map(|(id, _)| id)
            .collect();
        if left.is_empty() {
            break;
        }
        assert!(began.elapsed() < LONG, "not over: {left:?}: {status}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    for (id, flood) in &floods {
        let longest = flood.over().into_iter().max().unwrap_or_default();
        assert!(longest < ANSWER, "{id} took {longest:?}");
    }
    stayed_small("floods", &rotator);
    assert_eq!(rotator.exited(), None, "{}", rotator.log());
}
