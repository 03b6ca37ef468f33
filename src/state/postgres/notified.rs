//! What receivers of notifications know, in PostgreSQL.

use super::Inner;
use super::records::DURABLE;
use super::value::{plain, texts, times};
use crate::model::{Notified, ReceiverId};
use crate::state::StateError;

/// Those that are over are deleted, all others written.
const SAVE: &str = "
WITH new AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[])
        AS n (receiver, subject, event, since, told)
), over AS (
    DELETE FROM rotator_notified o USING new
    WHERE new.event IS NULL AND new.told IS NULL
        AND o.receiver = new.receiver AND o.subject = new.subject
)
INSERT INTO rotator_notified (receiver, subject, event, since, told)
SELECT receiver, subject, event, since, told FROM new
WHERE event IS NOT NULL OR told IS NOT NULL
ON CONFLICT (receiver, subject) DO UPDATE
    SET (event, since, told) = (EXCLUDED.event, EXCLUDED.since, EXCLUDED.told)";

impl Inner {
    pub(super) async fn load_notified(&self) -> Result<Vec<Notified>, StateError> {
        let sql = "SELECT receiver, subject, event, since, told FROM rotator_notified";
        let mut session = self.pool.session().await?;
        let rows = session.query(sql, &[]).await?;
        let line = |row| {
            let columns = self.columns(row);
            Ok(Notified {
                receiver: ReceiverId::new(columns.get::<&str>("receiver")?),
                subject: columns.get("subject")?,
                event: columns.get("event")?,
                since: columns.get("since")?,
                told: columns.get("told")?,
            })
        };
        rows.iter().map(line).collect()
    }

    pub(super) async fn put_notified(&self, lines: &[Notified]) -> Result<(), StateError> {
        let word = |of: fn(&Notified) -> &Option<String>| {
            let words = lines.iter().map(|line| of(line).as_deref().map(plain));
            words.collect::<Vec<_>>()
        };
        let name = |of: fn(&Notified) -> &str| lines.iter().map(of).map(plain).collect::<Vec<_>>();
        let parameters = [
            texts(name(|line| line.receiver.as_str())),
            texts(name(|line| &line.subject)),
            texts(word(|line| &line.event)),
            times(lines.iter().map(|line| line.since).collect::<Vec<_>>()),
            texts(word(|line| &line.told)),
        ];
        let mut session = self.pool.session().await?;
        session
            .transaction(DURABLE, &[(SAVE, &parameters[..])])
            .await?;
        Ok(())
    }
}
