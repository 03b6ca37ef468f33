//! Flashback repeats a key in every dress and in every field of its answers, on calls that have sent it
//! and on calls that have not: no piece of it is in anything the program says or keeps.

#[path = "../../crates/core/src/words/tests/dresses.rs"]
mod dresses;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::Utc;
use serde_json::{Value, json};

use super::server::{Stub, answer, json};
use crate::support::rotator::{QUICK, Rotator, file_key};
use crate::support::{eventually, get, place_file};

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
    let event = |context_id: &str, user_id: &str| {
        json!({"id": turn, "timestamp": Utc::now(), "context": "aillm", "contextId": context_id,
            "event": "updated", "orgId": told[0], "userId": user_id, "userName": told[1],
            "userEmail": told[2], "workspaceId": told[3], "jsonData": told[4]})
    };
    let events = json!({"total": 2, "skip": told[5], "take": told[6], "message": told[7],
        "events": [event(dressed, "u"), event("id", &told[8])]});
    let is_list = request.starts_with("GET /ai/llm");
    let is_events = request.starts_with("POST /systemevent");
    match turn % 7 {
        0 => json(400, &reasons),
        1 if is_list => json(200, &list),
        1 if is_events => json(200, &events),
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

/// What of the dressed keys would be a leak: runs of what is in them, and in no other text.
struct Leaks {
    /// Each run, and the number of the dress it is from.
    runs: HashMap<Vec<char>, usize>,
}

impl Leaks {
    fn of(dressed: &[String]) -> Self {
        let forms = |text: &str| [runs(text), runs(&Value::from(text).to_string())].concat();
        let undressed: HashSet<Vec<char>> = dresses::all("~~~~~~~~")
            .iter()
            .flat_map(|(_, other)| forms(other))
            .collect();
        let all = dressed.iter().enumerate();
        let all =
            all.flat_map(|(number, text)| forms(text).into_iter().map(move |run| (run, number)));
        Self {
            runs: all.filter(|(run, _)| !undressed.contains(run)).collect(),
        }
    }

    /// Returns the runs that are in a text, with the number of their dress.
    fn found(&self, text: &str) -> BTreeSet<(usize, String)> {
        // A mask parts what is before it from what happens to follow.
        let found = text.split('…').flat_map(runs).filter_map(|run| {
            let number = self.runs.get(&run)?;
            Some((*number, run.iter().collect()))
        });
        found.collect()
    }
}

/// Returns the runs of a text that tell what it is: seven letters and digits, five of them letters, or twelve
/// of any kind, whatever is between them; and ten signs that are neither, as Morse code has them.
fn runs(text: &str) -> Vec<Vec<char>> {
    let letters: Vec<char> = text.chars().filter(|c| c.is_alphanumeric()).collect();
    let telling = |run: &&[char]| run.iter().filter(|c| c.is_alphabetic()).count() >= 5;
    let mut all: Vec<Vec<char>> = letters
        .windows(7)
        .filter(telling)
        .chain(letters.windows(12))
        .map(<[char]>::to_vec)
        .collect();
    let chars: Vec<char> = text.chars().collect();
    let signs = |run: &&[char]| {
        let mut different: Vec<&char> = run.iter().collect();
        different.sort_unstable();
        different.dedup();
        run.iter().all(|c| !c.is_alphanumeric()) && different.len() >= 3
    };
    all.extend(chars.windows(10).filter(signs).map(<[char]>::to_vec));
    all
}

/// What the daemon says of itself: its log, its pages, what the commands print, and what is in the state.
async fn everything(rotator: &mut Rotator) -> String {
    let http = rotator.http().await;
    let mut said = String::new();
    for path in ["/status", "/metrics", "/", "/readyz"] {
        let answer = get(format!("{http}{path}")).await.expect("an answer");
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
    said += &rotator.log();
    for file in std::fs::read_dir(rotator.path()).expect("a directory") {
        let path = file.expect("a file").path();
        if path.to_string_lossy().contains("state.db") {
            said += &String::from_utf8_lossy(&std::fs::read(path).expect("read"));
        }
    }
    assert!(said.contains("Flashback"), "there is something to search");
    said
}

/// A search that finds nothing anywhere would prove nothing.
#[test]
fn each_dress_is_found_where_it_is_shown() {
    let dressed = all();
    let leaks = Leaks::of(&dressed);
    for (number, text) in dressed.iter().enumerate() {
        for said in [text.clone(), json!({ "error": text }).to_string()] {
            let said = format!("{{\"event\":\"push_failed\"}} no {said} here");
            assert!(!leaks.found(&said).is_empty(), "{number}: {text:?}");
        }
    }
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
    eventually("every key was answered in each way", || async {
        let often = |turns: &AtomicUsize| turns.load(Ordering::Relaxed) >= 8;
        turns.iter().all(often).then_some(())
    })
    .await;
    let leaks = Leaks::of(&dressed).found(&everything(&mut rotator).await);
    assert!(leaks.is_empty(), "{leaks:?}");
}

/// The same of the calls that sign in, and of those about the account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_dress_of_a_password_passes_in_any_answer_to_a_sign_in() {
    let dressed = all();
    let (turn, own) = (Arc::new(AtomicUsize::new(0)), dressed.clone());
    let asked = Arc::clone(&turn);
    let stub = Stub::start(move |request| {
        let turn = match request.starts_with("POST /user") {
            true => asked.fetch_add(1, Ordering::Relaxed),
            false => asked.load(Ordering::Relaxed),
        };
        repeating(request, turn / own.len(), &own[turn % own.len()])
    })
    .await;
    let mut rotator = Rotator::new(stub.url(), "");
    place_file(rotator.path().join("password"), SECRETS[0]);
    let quick = QUICK
        .replace("\"100ms\"", "\"5ms\"")
        .replace("\"500ms\"", "\"10ms\"");
    rotator.configure_signing_in(
        stub.url(),
        "email = \"me@example.com\"\npassword = { file = \"{dir}/password\" }",
        &format!(
            "{quick}{}[log]\nlevel = \"debug\"\nformat = \"json\"\n",
            file_key("k")
        ),
    );
    rotator.put("k", SECRETS[1]);
    rotator.start_with(&[("FLASHBACK_ROTATOR_SIGN_IN_WINDOW_MS", "10")]);
    let ways = 7 * dressed.len();
    eventually("a sign-in was answered in each way", || async {
        (turn.load(Ordering::Relaxed) >= ways).then_some(())
    })
    .await;
    let leaks = Leaks::of(&dressed).found(&everything(&mut rotator).await);
    assert!(leaks.is_empty(), "{leaks:?}");
}
