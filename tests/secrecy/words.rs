//! Flashback repeats a key in every dress and in every field of its answers, on calls that have sent it
//! and on calls that have not: no piece of it is in anything the program says or keeps.

#[path = "../../src/words/tests/dresses.rs"]
mod dresses;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::server::{Stub, answer, json};
use crate::support::eventually;
use crate::support::rotator::{QUICK, Rotator};

/// Neither has a word in it.
const SECRETS: [&str; 2] = ["qzKx7vWp3mTbR9ydLfGh2", "qzkxvwpmtbrydlfgh"];

/// Every dress, of one of the secrets; the key `kN` is repeated in the Nth.
fn all() -> Vec<String> {
    // One half of the dresses is tried with each.
    let dressed = SECRETS.iter().enumerate().flat_map(|(number, secret)| {
        let dresses = dresses::all(secret).into_iter().skip(number).step_by(2);
        dresses.map(|(_, dressed)| dressed)
    });
    dressed.collect()
}

/// The number of the key that a request is about.
fn number(request: &str) -> Option<usize> {
    let at = request.find("number-")? + "number-".len();
    let digits: String = request[at..]
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

/// An answer of a few kinds in turn, each with the dressed key in every field.
fn repeating(request: &str, turn: usize, dressed: &str) -> Vec<u8> {
    let told: Vec<String> = dresses::PLACES
        .iter()
        .map(|place| place.replace("SECRET", dressed))
        .collect();
    let reasons = json!({
        "success": false, "message": told[0], "error": told[1], "error_message": told[2],
        "errors": [told[3], {"message": told[4]}], "detail": [told[5], told[6]], "error_code": told[7],
        "data": told[8],
    });
    let entry = |id: Value, name: Value| {
        json!({"id": id, "name": name, "aiType": told[9], "endpoint": told[10], "workspaceId": null,
            "apiKeyId": null, "key": told[11]})
    };
    let list = json!({"success": true, "message": told[12], "aiLlms": [
        entry(json!(dressed), json!("n")), entry(json!("id"), json!(told[13])), told[0], null,
    ]});
    let is_list = request.starts_with("GET /ai/llm");
    match turn % 7 {
        0 => json(400, &reasons),
        1 if is_list => json(200, &list),
        1 => json(
            200,
            &json!({"success": true, "aiLlmId": told[1], "message": told[0]}),
        ),
        2 => json(422, &reasons),
        3 => answer(403, "Content-Type: text/plain\r\n", &told.join("\n")),
        4 => json(500, &reasons),
        5 => json(404, &reasons),
        _ => json(200, &reasons),
    }
}

/// Returns all runs of seven letters and digits, at least five of them letters, whatever is between them.
fn windows(text: &str) -> BTreeSet<String> {
    let letters: Vec<char> = text.chars().filter(|c| c.is_alphanumeric()).collect();
    let telling = |window: &&[char]| window.iter().filter(|c| c.is_alphabetic()).count() >= 5;
    letters
        .windows(7)
        .filter(telling)
        .map(|window| window.iter().collect())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_dress_of_a_key_passes_in_any_field_of_any_answer() {
    let dressed = all();
    let turns: Arc<[AtomicUsize]> = dressed.iter().map(|_| AtomicUsize::new(0)).collect();
    let asked = Arc::clone(&turns);
    let own = dressed.clone();
    let stub = Stub::start(move |request| match number(request) {
        Some(number) if request.contains("/ai/llm") || request.contains("systemevent") => {
            let turn = asked[number].fetch_add(1, Ordering::Relaxed);
            repeating(request, turn, &own[number])
        }
        _ => json(
            200,
            &json!({"success": true, "data": {"id": "u", "orgRole": 255}, "aiLlms": []}),
        ),
    })
    .await;
    let mut config = QUICK.replace(
        "[retry]",
        "[retry]\nrefused = \"1s\"\ngive_up_after = \"2s\"",
    );
    for number in 0..dressed.len() {
        config += &format!(
            "[keys.k{number}]\nname = \"number-{number}\"\nworkspace_id = \"number-{number}\"\nai_type = \"OTHER\"\n\
             endpoint = \"https://llm.example.com\"\nsource = \"files\"\npath = \"k\"\n"
        );
    }
    let mut rotator = Rotator::new(stub.url(), "");
    let often = ("FLASHBACK_ROTATOR_LIST_EVERY_MS", "300");
    rotator
        .environment
        .push((often.0.to_owned(), often.1.to_owned()));
    rotator.watch_edits("1s");
    let common = std::fs::read_to_string(rotator.config()).expect("a configuration");
    rotator.write_config(&format!(
        "{common}{config}[log]\nlevel = \"debug\"\nformat = \"json\"\n"
    ));
    rotator.put("k", SECRETS[0]);
    rotator.start();
    let http = rotator.http().await;
    eventually("every key was answered in each way", || async {
        let often = |turns: &AtomicUsize| turns.load(Ordering::Relaxed) >= 8;
        turns.iter().all(often).then_some(())
    })
    .await;
    let mut said = rotator.log();
    for path in ["/status", "/metrics", "/", "/readyz"] {
        let answer = reqwest::get(format!("{http}{path}"))
            .await
            .expect("an answer");
        said += &answer.text().await.expect("a text");
    }
    for command in [
        &["status"][..],
        &["history"],
        &["plan", "--json"],
        &["check", "--connect"],
        &["status", "--json"],
    ] {
        let output = rotator.command(command).await;
        said += &String::from_utf8_lossy(&[output.stdout, output.stderr].concat());
    }
    rotator.stop().await;
    for file in std::fs::read_dir(rotator.path()).expect("a directory") {
        let path = file.expect("a file").path();
        if path.to_string_lossy().contains("state.db") {
            said += &String::from_utf8_lossy(&std::fs::read(path).expect("read"));
        }
    }
    assert!(said.contains("Flashback"), "there is something to search");
    // A mask parts what is before it from what happens to follow.
    let found: BTreeSet<String> = said.split('…').flat_map(windows).collect();
    let undressed: BTreeSet<String> = dresses::all("~~~~~~~~")
        .iter()
        .flat_map(|(_, other)| windows(other))
        .collect();
    for (number, dressed) in dressed.iter().enumerate() {
        let leaks: Vec<_> = windows(dressed)
            .into_iter()
            .filter(|window| found.contains(window) && !undressed.contains(window))
            .collect();
        assert!(leaks.is_empty(), "k{number}: {leaks:?} of {dressed:?}");
    }
}
