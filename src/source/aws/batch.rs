//! Observes many secrets in one call (`look = "batch"`).
//!
//! `BatchGetSecretValue` returns the values of up to twenty secrets with the ids of their versions
//! (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html>). The values are
//! wiped here unread. Observations that begin within a moment of each other share a call, which one of their tasks
//! makes for all. If that task is cancelled in the middle, the others ask again.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_secretsmanager::operation::batch_get_secret_value::BatchGetSecretValueOutput;
use aws_sdk_secretsmanager::types::{ApiErrorType, SecretValueEntry};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use zeroize::Zeroize;

use super::calls::{Calls, time, version};
use super::config::AwsLook;
use super::error::{Answer, BATCH as OPERATION, Call};
use crate::model::{Missing, Observation};
use crate::progress::in_line;
use crate::source::contract::SourceError;

/// The time that an observation waits for others to share a call with.
const GATHER: Duration = Duration::from_millis(100);

type Looked = Result<Observation, SourceError>;

/// The observations that wait for others.
#[derive(Default)]
pub(super) struct Gathered(Mutex<Gather>);

#[derive(Default)]
struct Gather {
    /// The number of calls made so far.
    went: u64,
    asked: Vec<Asked>,
}

/// One observation, and the task that waits for it.
struct Asked {
    path: String,
    answer: oneshot::Sender<Looked>,
}

impl Gathered {
    /// Adds an observation. Returns the number of its group, and the group itself if it is full.
    fn add(&self, asked: Asked) -> (u64, Option<Vec<Asked>>) {
        let mut gather = self.0.lock();
        gather.asked.push(asked);
        let group = gather.went;
        let full = gather.asked.len() >= AwsLook::Batch.at_once() as usize;
        (group, full.then(|| gather.go()))
    }

    /// Returns a group unless its call has been made already.
    fn take(&self, group: u64) -> Option<Vec<Asked>> {
        let mut gather = self.0.lock();
        (gather.went == group).then(|| gather.go())
    }

    /// Observes a secret in one call with those of other tasks.
    pub(super) async fn observe(&self, calls: &Calls, path: &str) -> Looked {
        loop {
            let (answer, mut answered) = oneshot::channel();
            let path = path.to_owned();
            let (group, full) = self.add(Asked { path, answer });
            let full = match full {
                Some(full) => Some(full),
                None => match tokio::time::timeout(GATHER, &mut answered).await {
                    Ok(Ok(looked)) => return looked,
                    Ok(Err(_)) => continue,
                    Err(_) => self.take(group),
                },
            };
            if let Some(group) = full {
                // Large, and one in twenty has it: the others do not keep a place for it.
                Box::pin(calls.look_at_all(group)).await;
            }
            if let Ok(looked) = in_line(answered).await {
                return looked;
            }
        }
    }
}

impl Gather {
    fn go(&mut self) -> Vec<Asked> {
        self.went += 1;
        std::mem::take(&mut self.asked)
    }
}

impl Calls {
    async fn look_at_all(&self, group: Vec<Asked>) {
        let mut asked: HashMap<String, Vec<oneshot::Sender<Looked>>> = HashMap::new();
        for Asked { path, answer } in group {
            asked.entry(path).or_default().push(answer);
        }
        let mut found = self.find_all(asked.keys().cloned().collect()).await;
        for (path, answers) in asked {
            let looked = found.remove(&path).unwrap_or_else(|| Err(left_out(&path)));
            for answer in answers {
                let _ = answer.send(looked.clone());
            }
        }
    }

    /// Observes all these secrets. AWS refuses a whole call if one of its names is invalid. The call is then split in
    /// halves until that name is found, so that it does not affect the others.
    async fn find_all(&self, paths: Vec<String>) -> HashMap<String, Looked> {
        let mut looked = HashMap::new();
        let mut parts = vec![paths];
        while let Some(mut part) = parts.pop() {
            match self.get_all(&part).await {
                Ok(found) => looked.extend(part.into_iter().filter_map(|path| {
                    let said = found.of(&path)?;
                    Some((path, said))
                })),
                Err(SourceError::Invalid { .. }) if part.len() > 1 => {
                    parts.push(part.split_off(part.len() / 2));
                    parts.push(part);
                }
                Err(error) => {
                    looked.extend(part.into_iter().map(|path| (path, Err(error.clone()))));
                }
            }
        }
        looked
    }

    async fn get_all(&self, paths: &[String]) -> Result<Found, SourceError> {
        let call = Call {
            operation: OPERATION,
            path: match paths {
                [only] => only,
                _ => "*",
            },
        };
        let answer = self.ask(call, |client| {
            client
                .batch_get_secret_value()
                .set_secret_id_list(Some(paths.to_vec()))
                .send()
        });
        match answer.await? {
            Answer::Value(answer) => Ok(Found::new(answer)),
            Answer::NotFound | Answer::WrongState => Err(SourceError::Protocol {
                what: format!("{OPERATION} as a whole was answered like a look at one secret"),
                status: "malformed".to_owned(),
            }),
        }
    }
}

/// The results of one call.
struct Found {
    present: Vec<Present>,
    failed: HashMap<String, ApiErrorType>,
}

struct Present {
    name: String,
    arn: String,
    looked: Looked,
}

impl Found {
    fn new(answer: BatchGetSecretValueOutput) -> Self {
        let values = answer.secret_values.unwrap_or_default();
        let errors = answer.errors.unwrap_or_default();
        let failed = |error: ApiErrorType| Some((error.secret_id.clone()?, error));
        Self {
            present: values.into_iter().map(present).collect(),
            failed: errors.into_iter().filter_map(failed).collect(),
        }
    }

    /// Returns the result for a secret that was requested by name, by ARN, or by an ARN without the six characters that
    /// AWS adds.
    fn of(&self, path: &str) -> Option<Looked> {
        if let Some(error) = self.failed.get(path) {
            return Some(failed(path, error));
        }
        let partly = |arn: &str| {
            let rest = arn
                .strip_prefix(path)
                .and_then(|rest| rest.strip_prefix('-'));
            rest.is_some_and(|rest| rest.len() == 6 && path.starts_with("arn:"))
        };
        let found = self
            .present
            .iter()
            .find(|present| present.name == path || present.arn == path || partly(&present.arn))?;
        Some(found.looked.clone())
    }
}

fn present(value: SecretValueEntry) -> Present {
    let SecretValueEntry {
        arn,
        name,
        version_id,
        secret_string,
        secret_binary,
        created_date,
        ..
    } = value;
    let has_value = secret_string.is_some() || secret_binary.is_some();
    if let Some(mut text) = secret_string {
        text.zeroize();
    }
    if let Some(bytes) = secret_binary {
        bytes.into_inner().zeroize();
    }
    let looked = match version_id.filter(|_| has_value) {
        Some(id) => version(&id).map(|version| Observation::Present {
            version,
            written_at: created_date.as_ref().and_then(time),
        }),
        None => Ok(Observation::Missing(Missing::NoValueYet)),
    };
    Present {
        name: name.unwrap_or_default(),
        arn: arn.unwrap_or_default(),
        looked,
    }
}

/// Converts the error for one secret of a call. The codes are those of `GetSecretValue`.
fn failed(path: &str, error: &ApiErrorType) -> Looked {
    let code = error.error_code.as_deref().unwrap_or_default();
    let call = Call {
        operation: "GetSecretValue",
        path,
    };
    match code {
        // A secret without a current version gives the same code.
        "ResourceNotFoundException" => {
            let words = error.message.as_deref().unwrap_or_default();
            Ok(Observation::Missing(match words.contains("AWSCURRENT") {
                true => Missing::NoValueYet,
                false => Missing::NotFound,
            }))
        }
        "InvalidRequestException" => Ok(Observation::Missing(Missing::Deleted)),
        _ => Err(call.refused(code)),
    }
}

fn left_out(path: &str) -> SourceError {
    SourceError::Protocol {
        what: format!("{OPERATION} was asked about `{path}` and said nothing of it"),
        status: "malformed".to_owned(),
    }
}
