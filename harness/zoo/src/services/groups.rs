//! Commits several changes in one transaction, each with its outbox row. Nothing is wrong with that;
//! a relay must be up to it.

use super::kit::database::{Database, commit, roll_back};
use super::kit::{Change, Path, http, live, rejected};
use relays::config::ServiceConfig;
use relays::order::Answer;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Changes that one transaction takes, if they come in time.
const GROUP: usize = 5;
const IN_TIME: Duration = Duration::from_millis(100);
/// Changes that may wait for their transaction.
const WAITING_MAX: usize = 1000;

/// Serves until SIGTERM and commits up to `GROUP` changes, which came soon after each other, in one transaction.
pub fn run(config: ServiceConfig) -> Result<(), String> {
    live(async {
        let database = Arc::new(Database::connect(&config).await?);
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(work(Arc::clone(&database), waiting));
        http::serve(config.listen, GroupsService { database, queue }).await
    })
}

type Told = oneshot::Sender<Result<Answer, String>>;

struct GroupsService {
    database: Arc<Database>,
    queue: mpsc::Sender<(Change, Told)>,
}

impl Path for GroupsService {
    async fn apply(&self, change: Change) -> Result<Answer, String> {
        // What a rule forbids is rolled back, with nobody else's change.
        if change.is_forbidden().await {
            let mut transaction = self.database.begin().await?;
            self.database.write(&mut transaction, &change).await?;
            roll_back(transaction).await?;
            return Ok(rejected("a business rule forbids it"));
        }
        let (tell, told) = oneshot::channel();
        let gone = |_| "the transaction did not come to its end".to_owned();
        self.queue
            .send((change, tell))
            .await
            .map_err(|_| gone(()))?;
        told.await.map_err(|_| gone(()))?
    }
}

/// Commits one transaction after the other, each of up to `GROUP` changes that came in time.
async fn work(database: Arc<Database>, mut waiting: mpsc::Receiver<(Change, Told)>) {
    while let Some(first) = waiting.recv().await {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(Some(next)) = timeout(IN_TIME, waiting.recv()).await
        {
            group.push(next);
        }
        let answers = write(&database, &group).await;
        for (at, (_, tell)) in group.into_iter().enumerate() {
            let answer = match &answers {
                Ok(answers) => Ok(answers[at].clone()),
                Err(error) => Err(error.clone()),
            };
            // Whoever asked may have hung up.
            let _ = tell.send(answer);
        }
    }
}

async fn write(database: &Database, group: &[(Change, Told)]) -> Result<Vec<Answer>, String> {
    let mut answers = Vec::with_capacity(group.len());
    let mut transaction = database.begin().await?;
    for (change, _) in group {
        answers.push(match database.write(&mut transaction, change).await? {
            Some(version) => {
                let announced = database.announce(&mut transaction, change, version);
                announced.await?;
                Answer::Committed { version }
            }
            None => rejected("the order does not allow it"),
        });
    }
    commit(transaction).await?;
    Ok(answers)
}
