//! Requests to the processes that work on the state. Each does the part that is about its keys, and a request is answered
//! when every key is.

use serde_json::Value;
use tokio_postgres::types::Json;

use super::pool::{Pool, Session};
use super::value::{int, json, number, plain, seconds, text, texts};
use crate::model::KeyId;
use crate::state::{REQUEST_LIFE, Request, RequestId, RequestState, StateError, UNKNOWN_REQUEST};

/// Takes the part of the oldest request that is for a replica: the keys that it has leased and has not taken yet under
/// this lease. A replica that had taken them before has lost the lease.
const TAKE: &str = "
WITH mine AS (
    SELECT r.request, r.key, l.fence
    FROM rotator_request_keys r JOIN rotator_leases l ON l.key = r.key
    WHERE NOT r.answered AND l.holder = $1
        AND (r.replica IS DISTINCT FROM $1 OR r.fence IS DISTINCT FROM l.fence)
), oldest AS (
    SELECT min(request) AS request FROM mine
), taken AS (
    UPDATE rotator_request_keys r SET replica = $1, fence = mine.fence
    FROM mine JOIN oldest USING (request)
    WHERE r.request = mine.request AND r.key = mine.key AND NOT r.answered
    RETURNING r.request, r.key
)
SELECT q.id, q.request::text AS request, array_agg(taken.key ORDER BY taken.key COLLATE \"C\") AS keys
FROM taken JOIN rotator_requests q ON q.id = taken.request GROUP BY q.id";

/// Answers the keys that this replica has taken and has a row for. Without any row it answers all that it has taken: it
/// knows none of these keys. If there are rows, a key without one was broken off, and belongs to another replica now.
const ANSWER: &str = "
WITH rows AS (
    SELECT DISTINCT ON (key) value ->> 'key' AS key, value
    FROM json_array_elements($2 -> 'keys') AS n (value)
), gone AS (
    DELETE FROM rotator_request_progress WHERE request = $1 AND replica = $3
)
UPDATE rotator_request_keys r SET answered = true,
    answer = (SELECT value FROM rows WHERE rows.key = r.key)
WHERE r.request = $1 AND r.replica = $3 AND NOT r.answered
    AND (NOT EXISTS (SELECT FROM rows) OR r.key IN (SELECT key FROM rows))";

const STATE: &str = "
SELECT q.answer,
    count(r.key) AS total,
    count(*) FILTER (WHERE r.answered) AS answered,
    count(*) FILTER (WHERE r.replica IS NOT NULL) AS taken,
    (SELECT coalesce(sum(done), 0)::int8 FROM rotator_request_progress WHERE request = q.id) AS done,
    (SELECT coalesce(json_agg(answer ORDER BY key COLLATE \"C\"), '[]')::text
     FROM rotator_request_keys WHERE request = q.id AND answer IS NOT NULL) AS rows
FROM rotator_requests q LEFT JOIN rotator_request_keys r ON r.request = q.id
WHERE q.id = $1 GROUP BY q.id";

pub(super) async fn submit(pool: &Pool, request: &Request) -> Result<RequestId, StateError> {
    let (keys, _) = request.parts();
    let keys: Vec<&str> = keys.iter().map(KeyId::as_str).collect();
    let life = REQUEST_LIFE.as_secs_f64();
    let mut session = pool.session().await?;
    let answers = session
        .transaction(
            "",
            &[
                (
                    "DELETE FROM rotator_requests
                     WHERE submitted_at < clock_timestamp() - make_interval(secs => $1)",
                    &[seconds(life)],
                ),
                (
                    "WITH q AS (
                         INSERT INTO rotator_requests (request) VALUES ($1) RETURNING id
                     ), named AS (
                         SELECT unnest($2::text[]) AS key
                         UNION SELECT key FROM rotator_leases
                         WHERE cardinality($2) = 0 AND holder IS NOT NULL
                     ), keys AS (
                         INSERT INTO rotator_request_keys (request, key)
                         SELECT q.id, named.key FROM q, named
                     )
                     SELECT id FROM q",
                    &[json(Json(request)), texts(keys)],
                ),
            ],
        )
        .await?;
    Ok(RequestId(
        answers.last().map(|rows| number(rows)).unwrap_or_default(),
    ))
}

/// Takes what of the oldest request falls to this replica. Two calls at once would take the same.
pub(super) async fn take_part(
    pool: &Pool,
    replica: i64,
) -> Result<Option<(RequestId, Request)>, StateError> {
    loop {
        let mut session = pool.session().await?;
        let rows = match session.query(TAKE, &[int(replica)]).await {
            Ok(rows) => rows,
            // This replica was evicted, which the membership task will notice.
            Err(StateError::Lost) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let columns = pool.columns(row);
        let id = RequestId(columns.get("id")?);
        let keys: Vec<&str> = columns.get("keys")?;
        let keys: Vec<KeyId> = keys.into_iter().map(KeyId::new).collect();
        match part(columns.get("request")?, keys) {
            Some(part) => return Ok(Some((id, part))),
            None => answer_whole(&mut session, id, UNKNOWN_REQUEST).await?,
        }
    }
}

pub(super) async fn report_progress(
    pool: &Pool,
    replica: i64,
    id: RequestId,
    done: u32,
) -> Result<(), StateError> {
    let mut session = pool.session().await?;
    session
        .query(
            "INSERT INTO rotator_request_progress (request, replica, done)
             SELECT id, $2, $3 FROM rotator_requests WHERE id = $1
             ON CONFLICT (request, replica) DO UPDATE SET done = EXCLUDED.done",
            &[int(id.0), int(replica), int(i64::from(done))],
        )
        .await
        .map(drop)
}

/// Answers this replica's part of a request, or all of it where the answer is not one of keys.
pub(super) async fn answer(
    pool: &Pool,
    replica: Option<i64>,
    id: RequestId,
    answer: &str,
) -> Result<(), StateError> {
    let mut session = pool.session().await?;
    let document: Option<Value> = serde_json::from_str(answer).ok();
    let rows = document.filter(|document| document["keys"].is_array());
    match (rows, replica) {
        (Some(rows), Some(replica)) => session
            .query(ANSWER, &[int(id.0), json(Json(&rows)), int(replica)])
            .await
            .map(drop),
        _ => answer_whole(&mut session, id, answer).await,
    }
}

async fn answer_whole(
    session: &mut Session,
    id: RequestId,
    answer: &str,
) -> Result<(), StateError> {
    session
        .query(
            "UPDATE rotator_requests SET answer = $2 WHERE id = $1",
            &[int(id.0), text(plain(answer))],
        )
        .await
        .map(drop)
}

/// Returns where a request stands, and forgets one that is answered; `None` where there is none any more.
pub(super) async fn state(pool: &Pool, id: RequestId) -> Result<Option<RequestState>, StateError> {
    let mut session = pool.session().await?;
    let rows = session.query(STATE, &[int(id.0)]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let columns = pool.columns(row);
    let number = |name| columns.get::<i64>(name);
    let (total, answered) = (number("total")?, number("answered")?);
    let whole: Option<String> = columns.get("answer")?;
    if whole.is_none() && answered < total {
        let done = (answered + number("done")?).min(total);
        return Ok(Some(match answered + number("taken")? {
            0 => RequestState::Waiting,
            _ => RequestState::Working {
                done: u32::try_from(done).unwrap_or_default(),
                total: u32::try_from(total).unwrap_or_default(),
            },
        }));
    }
    let answer = match whole {
        Some(answer) => answer,
        None => format!("{{\"keys\":{}}}", columns.get::<&str>("rows")?),
    };
    let forget = "DELETE FROM rotator_requests WHERE id = $1";
    session.query(forget, &[int(id.0)]).await?;
    Ok(Some(RequestState::Answered(answer)))
}

/// Returns the part of a request that is about these keys; `None` where this version does not know the request.
fn part(request: &str, keys: Vec<KeyId>) -> Option<Request> {
    Some(match serde_json::from_str(request).ok()? {
        Request::Sync {
            force,
            answer_within_ms,
            ..
        } => Request::Sync {
            keys,
            force,
            answer_within_ms,
        },
        Request::Rollback { key } => Request::Rollback { key },
        Request::Rotate {
            key,
            wanted,
            answer_within_ms,
        } => Request::Rotate {
            key,
            wanted,
            answer_within_ms,
        },
        Request::Plan { .. } => Request::Plan { keys },
        Request::Status { .. } => Request::Status { keys },
    })
}
