//! A few connections. One that is dead is replaced, and nothing is waited for without end.

use std::time::Duration;

use deadpool::managed::{
    Manager, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult,
};
use futures_util::future::{join, join_all};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

use super::connect::{Connection, Connector};
use super::place::{Place, is_of_the_server};
use super::value::{Columns, Parameter};
use crate::state::StateError;

/// The most connections there are. A hundred checks at once save their records on them within milliseconds.
const CONNECTIONS: usize = 8;

/// The idle time after which a connection is closed.
const IDLE: Duration = Duration::from_secs(60);

/// The age at which a connection is not used again: its host name may lead to another server by now.
const LIFE: Duration = Duration::from_secs(60);

/// The time limit of one operation. It is longer than the server's own limit on a statement, so that a server that
/// can be reached ends the statement first.
pub(super) const LIMIT: Duration = Duration::from_secs(8);

/// Makes a commit wait until its writes are on the disk, even if the server is configured not to wait.
pub(super) const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', true)
    WHERE current_setting('synchronous_commit') = 'off'";

/// Makes connections, and decides whether those that come back are used again.
struct Keeper {
    connector: Connector,
    /// Connections made before this are not used again.
    distrusted: Mutex<Option<std::time::Instant>>,
}

impl Keeper {
    fn distrusted(&self) -> MutexGuard<'_, Option<std::time::Instant>> {
        self.distrusted.lock()
    }
}

impl Manager for Keeper {
    type Type = Connection;
    type Error = StateError;

    async fn create(&self) -> Result<Connection, StateError> {
        self.connector.connect().await
    }

    async fn recycle(
        &self,
        connection: &mut Connection,
        metrics: &Metrics,
    ) -> RecycleResult<StateError> {
        let is_distrusted = *self.distrusted() >= Some(metrics.created);
        match connection.client.is_closed() || is_distrusted || metrics.age() > LIFE {
            true => Err(RecycleError::message("not to be used again")),
            false => Ok(()),
        }
    }
}

/// The connections of one process.
#[derive(Clone)]
pub(super) struct Pool {
    connections: deadpool::managed::Pool<Keeper>,
    place: Place,
}

impl Pool {
    /// Makes a pool without connections.
    pub(super) fn new(connector: Connector) -> Result<Self, StateError> {
        let place = connector.place.clone();
        let keeper = Keeper {
            connector,
            distrusted: Mutex::default(),
        };
        let connections = deadpool::managed::Pool::builder(keeper)
            .max_size(CONNECTIONS)
            .queue_mode(QueueMode::Lifo)
            .build()
            .map_err(|error| place.unusable(error.to_string()))?;
        Ok(Self { connections, place })
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Reads a row by the names of its columns.
    pub(super) fn columns<'a>(&'a self, row: &'a Row) -> Columns<'a> {
        let place = &self.place;
        Columns { row, place }
    }

    /// Returns a connection for one operation.
    pub(super) async fn session(&self) -> Result<Session, StateError> {
        self.session_for(LIMIT).await
    }

    /// Returns a connection for an operation that is of no use after this long.
    pub(super) async fn session_within(&self, limit: Duration) -> Result<Session, StateError> {
        self.session_for(limit.min(LIMIT)).await
    }

    /// Returns a connection for an operation that may take this long.
    pub(super) async fn session_for(&self, limit: Duration) -> Result<Session, StateError> {
        let deadline = Instant::now() + limit;
        let connection = match timeout_at(deadline, self.connections.get()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(PoolError::Backend(error))) => return Err(error),
            Ok(Err(error)) => return Err(self.place.failed(error.to_string())),
            Err(_) => return Err(self.place.no_answer(limit)),
        };
        Ok(Session {
            connection: Some(connection),
            pool: self.clone(),
            deadline,
            limit,
            condition: Condition::Sound,
        })
    }

    /// Closes connections that were idle for a while.
    pub(super) fn shrink(&self) {
        self.connections
            .retain(|_, metrics| metrics.last_used() < IDLE);
    }

    /// Lets every connection end after the operation it is used for. It may be as dead as the one that was found dead, or
    /// lead to the same server, which is not the one to ask any more.
    fn distrust(&self) {
        *self.connections.manager().distrusted() = Some(std::time::Instant::now());
        self.connections.retain(|_, _| false);
    }
}

/// A connection that one operation has for itself until its deadline. It goes back to the pool only after each question
/// on it was answered. An operation that is given up ends its connection, and with it the transaction it had begun.
pub(super) struct Session {
    connection: Option<Object<Keeper>>,
    pool: Pool,
    deadline: Instant,
    limit: Duration,
    condition: Condition,
}

/// The condition of a connection after an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// It can be used for the next operation.
    Sound,
    /// It cannot be used again: an answer on it was not awaited, or it is in a failed transaction.
    Spent,
    /// It cannot, and others may be like it.
    Dead,
}

impl Session {
    /// Sends one statement.
    pub(super) async fn query(
        &mut self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StateError> {
        let (client, answers) = self.ask(Condition::Sound)?;
        answers.wait(ask(client, sql, parameters)).await
    }

    /// Sends statements without parameters and without an answer. They may leave a transaction open.
    pub(super) async fn execute(&mut self, sql: &str) -> Result<(), StateError> {
        let (client, answers) = self.ask(Condition::Spent)?;
        answers.wait(client.batch_execute(sql)).await
    }

    /// Sends a transaction in one round trip: all statements are sent at once, in this order, and if one fails the
    /// server skips the rest.
    ///
    /// # Errors
    /// Returns the error of the first statement that failed; nothing was done then. If the connection failed, the
    /// transaction may have been committed.
    pub(super) async fn transaction(
        &mut self,
        settings: &str,
        statements: &[(&str, &[Parameter<'_>])],
    ) -> Result<Vec<Vec<Row>>, StateError> {
        let (client, answers) = self.ask(Condition::Sound)?;
        let begin = format!("BEGIN ISOLATION LEVEL READ COMMITTED; {settings}");
        let all = async {
            // Each sends what it has to say when it is polled first, which is in this order.
            let (begun, (done, committed)) = join(
                client.batch_execute(&begin),
                join(
                    join_all(
                        statements
                            .iter()
                            .map(|(sql, parameters)| ask(client, sql, parameters)),
                    ),
                    client.batch_execute("COMMIT"),
                ),
            )
            .await;
            begun?;
            let done = done.into_iter().collect::<Result<Vec<_>, Error>>()?;
            committed.map(|()| done)
        };
        answers.wait(all).await
    }

    /// Begins a question. `refused` is the condition of the connection when the server refuses what is asked.
    fn ask(&mut self, refused: Condition) -> Result<(&Client, Answers<'_>), StateError> {
        let place = &self.pool.place;
        let Some(connection) = &self.connection else {
            return Err(place.failed("its connection is gone"));
        };
        let answers = Answers {
            condition: &mut self.condition,
            refused,
            deadline: self.deadline,
            limit: self.limit,
            place,
        };
        Ok((&connection.client, answers))
    }
}

/// Sends a statement when it is polled first, and waits for the answer.
async fn ask(client: &Client, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Error> {
    let parameters = parameters.iter();
    let parameters: Vec<(&(dyn ToSql + Sync), Type)> = parameters
        .map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone()))
        .collect();
    client.query_typed(sql, &parameters).await
}

/// Waits for an answer, and notes the condition of the connection after it.
struct Answers<'a> {
    condition: &'a mut Condition,
    refused: Condition,
    deadline: Instant,
    limit: Duration,
    place: &'a Place,
}

impl Answers<'_> {
    async fn wait<T>(self, work: impl Future<Output = Result<T, Error>>) -> Result<T, StateError> {
        // It stays so where this is dropped while it waits.
        *self.condition = Condition::Spent;
        match timeout_at(self.deadline, work).await {
            Ok(Ok(answer)) => {
                *self.condition = Condition::Sound;
                Ok(answer)
            }
            Ok(Err(error)) => {
                *self.condition = match error.as_db_error() {
                    Some(said) if !is_of_the_server(said) => self.refused,
                    _ => Condition::Dead,
                };
                Err(self.place.explain(&error))
            }
            Err(_) => {
                *self.condition = Condition::Dead;
                Err(self.place.no_answer(self.limit))
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.condition == Condition::Sound {
            return;
        }
        if let Some(connection) = self.connection.take() {
            Object::take(connection).cut();
        }
        if self.condition == Condition::Dead {
            self.pool.distrust();
        }
    }
}
