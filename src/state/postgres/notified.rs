//! The notices that were sent to receivers, in PostgreSQL.

use super::pool::{DURABLE, Pool};
use super::value::{plain, texts};
use crate::model::Notified;
use crate::state::{StateError, document};

/// Deletes what has no line any more, and writes the others.
const SAVE: &str = "
WITH new AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS n (receiver, subject, line)
), over AS (
    DELETE FROM rotator_notified o USING new
    WHERE new.line IS NULL AND o.receiver = new.receiver AND o.subject = new.subject
)
INSERT INTO rotator_notified (receiver, subject, line)
SELECT receiver, subject, line FROM new WHERE line IS NOT NULL
ON CONFLICT (receiver, subject) DO UPDATE SET line = EXCLUDED.line";

pub(super) async fn load(pool: &Pool) -> Result<Vec<Notified>, StateError> {
    let mut session = pool.session().await?;
    let rows = session
        .query("SELECT line FROM rotator_notified", &[])
        .await?;
    let line = |row| {
        let columns = pool.columns(row);
        document::read(columns.get("line")?, columns.place)
    };
    rows.iter().map(line).collect()
}

pub(super) async fn save(pool: &Pool, lines: &[Notified]) -> Result<(), StateError> {
    let name = |of: fn(&Notified) -> &str| lines.iter().map(of).map(plain).collect::<Vec<_>>();
    let document = |line: &Notified| (!line.is_over()).then(|| document::of(line));
    let parameters = [
        texts(name(|line| line.receiver.as_str())),
        texts(name(|line| &line.subject)),
        texts(lines.iter().map(document).collect::<Vec<_>>()),
    ];
    let mut session = pool.session().await?;
    let statements = [(SAVE, &parameters[..])];
    session.transaction(DURABLE, &statements).await.map(drop)
}
