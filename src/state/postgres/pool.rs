//! A few connections, each replaced by itself when it is dead, and nothing waited for without end.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool::managed::{
    Manager, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult,
};
use futures_util::future::{join, join_all};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

use super::connect::{Connection, Connector};
use super::place::{Place, is_of_the_server};
use super::value::{Columns, Parameter};
use crate::state::StateError;

/// How many there are at most. A hundred looks at once save their records in turns of milliseconds.
const CONNECTIONS: usize = 8;

/// One that was idle for this long is given back to the server.
const IDLE: Duration = Duration::from_secs(60);

/// One this old is not used again: the name it was made for may lead to another server by now.
const LIFE: Duration = Duration::from_secs(60);

/// How long one operation may take: longer than the server's own limit on a statement, so that where
/// the server can be reached, it is the one to end it.
pub(super) const LIMIT: Duration = Duration::from_secs(8);

/// Makes sure that what a transaction writes is on the disk when it is over, even where the server was told not to
/// wait for that.
pub(super) const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', true)
    WHERE current_setting('synchronous_commit') = 'off'";

/// What makes connections, and looks at those that come back.
struct Keeper {
    connector: Connector,
    /// Those made before this are not used again.
    distrusted: Mutex<Option<std::time::Instant>>,
}

impl Keeper {
    fn distrusted(&self) -> std::sync::MutexGuard<'_, Option<std::time::Instant>> {
        self.distrusted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
    /// None is made yet.
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

    /// A connection for one operation.
    pub(super) async fn session(&self) -> Result<Session, StateError> {
        self.session_for(LIMIT).await
    }

    /// A connection for an operation that is of no use after this long.
    pub(super) async fn session_within(&self, limit: Duration) -> Result<Session, StateError> {
        self.session_for(limit.min(LIMIT)).await
    }

    /// A connection for an operation that may take this long.
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

    /// Gives back to the server what nobody has used for a while.
    pub(super) fn shrink(&self) {
        self.connections
            .retain(|_, metrics| metrics.last_used() < IDLE);
    }

    /// Lets every connection there is end after its operation: it may be as dead as the one that was
    /// found dead, or lead to the same server, which is not the one to ask any more.
    fn distrust(&self) {
        *self.connections.manager().distrusted() = Some(std::time::Instant::now());
        self.connections.retain(|_, _| false);
    }
}

/// A connection that one operation has for itself, until its deadline. It goes back to the others
/// only after everything asked on it was answered: an operation that is given up takes its connection
/// with it, and with that, what it had begun.
pub(super) struct Session {
    connection: Option<Object<Keeper>>,
    pool: Pool,
    deadline: Instant,
    limit: Duration,
    condition: Condition,
}

/// What a connection is good for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// The next operation.
    Sound,
    /// Nothing: something was asked on it whose answer nobody has waited for, or it is amid a
    /// transaction that failed.
    Spent,
    /// Nothing, and others may be like it.
    Dead,
}

impl Session {
    /// One statement.
    pub(super) async fn query(
        &mut self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StateError> {
        let (client, answers) = self.ask(Condition::Sound)?;
        answers.wait(ask(client, sql, parameters)).await
    }

    /// Statements without parameters and without an answer. They may leave a transaction open.
    pub(super) async fn execute(&mut self, sql: &str) -> Result<(), StateError> {
        let (client, answers) = self.ask(Condition::Spent)?;
        answers.wait(client.batch_execute(sql)).await
    }

    /// One transaction in one round trip: everything is sent at once, in this order, and where one
    /// statement fails the server passes over the rest.
    ///
    /// # Errors
    /// That of the first statement that failed; nothing was done then. Where it is the connection that
    /// failed, it may have been done.
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

    /// `refused`: what the connection is good for when the server refuses what is asked.
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

/// Sends what it has to say when it is polled first.
async fn ask(client: &Client, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Error> {
    let parameters = parameters.iter();
    let parameters: Vec<(&(dyn ToSql + Sync), Type)> = parameters
        .map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone()))
        .collect();
    client.query_typed(sql, &parameters).await
}

/// What waits for answers.
struct Answers<'a> {
    condition: &'a mut Condition,
    refused: Condition,
    deadline: Instant,
    limit: Duration,
    place: &'a Place,
}

impl Answers<'_> {
    async fn wait<T>(self, work: impl Future<Output = Result<T, Error>>) -> Result<T, StateError> {
        // Where this is dropped at the wait, it stays so.
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
