//! The threads of one schema: each holds it compiled and takes messages from one bounded queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use xsd_schema::SchemaSet;

use super::folder::Folder;
use super::{NoVerdict, Violation, engine};

/// Messages that wait for a validator; beyond that whoever brings one waits.
const QUEUE: usize = 64;
/// Most threads of one schema.
const MAX_THREADS: usize = 16;
/// Room for the recursion of the schema's compiler, which is bounded by depth.
const STACK: usize = 8 << 20;
/// A compiled schema forgets no name that a document had: after so many new ones it is compiled anew.
const MAX_NEW_NAMES: usize = 20_000;

type Verdict = Result<Vec<Violation>, NoVerdict>;

struct Job {
    message: Bytes,
    answer: oneshot::Sender<Verdict>,
}

/// A queue with its threads, which end when it is dropped.
#[derive(Debug)]
pub(super) struct Pool {
    jobs: mpsc::Sender<Job>,
}

impl Pool {
    /// Compiles the schema, and starts the threads when it can be used. All but the first compile theirs when
    /// they get something to do.
    pub(super) fn start(folder: Arc<Folder>, root: String) -> Result<Self, Vec<String>> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (told, outcome) = std_mpsc::sync_channel(1);
        let worker = Worker { folder, root, queue: Arc::new(Mutex::new(queue)) };
        let first = worker.clone();
        spawn(move || match engine::compile(&first.folder, &first.root) {
            Ok(set) => {
                let _ = told.send(Ok(()));
                first.run(Some(set));
            }
            Err(faults) => {
                let _ = told.send(Err(faults));
            }
        })?;
        outcome.recv().unwrap_or_else(|_| Err(vec![format!("{}: the schema cannot be compiled", worker.root)]))?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(MAX_THREADS);
        for _ in 1..cores {
            let other = worker.clone();
            spawn(move || other.run(None))?;
        }
        Ok(Self { jobs })
    }

    pub(super) async fn ask(&self, message: Bytes) -> Verdict {
        let (answer, verdict) = oneshot::channel();
        self.jobs.send(Job { message, answer }).await.map_err(|_| NoVerdict)?;
        verdict.await.map_err(|_| NoVerdict)?
    }

    pub(super) fn ask_blocking(&self, message: Bytes) -> Verdict {
        let (answer, verdict) = oneshot::channel();
        self.jobs.blocking_send(Job { message, answer }).map_err(|_| NoVerdict)?;
        verdict.blocking_recv().map_err(|_| NoVerdict)?
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<(), Vec<String>> {
    let started = std::thread::Builder::new().name("schema".to_owned()).stack_size(STACK).spawn(work);
    started.map(|_| ()).map_err(|error| vec![format!("no thread for the schema: {}", error.kind())])
}

#[derive(Clone)]
struct Worker {
    folder: Arc<Folder>,
    root: String,
    queue: Arc<Mutex<mpsc::Receiver<Job>>>,
}

/// Why a thread stops using its compiled schema.
enum Pause {
    /// The queue is closed.
    Ended,
    /// The schema has to be compiled anew.
    Worn,
}

impl Worker {
    /// The next message; `None` when nobody can bring one any more.
    fn next(&self) -> Option<Job> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv()
    }

    fn run(&self, compiled: Option<SchemaSet>) {
        let mut compiled = compiled;
        while let Some(job) = self.next() {
            let compile = || engine::compile(&self.folder, &self.root).ok();
            let set = compiled.take().or_else(|| catch_unwind(AssertUnwindSafe(compile)).ok().flatten());
            let Some(set) = set else {
                // It could be compiled before, from the very same bytes. Without an answer there is no verdict.
                tracing::error!(root = self.root, "a schema could not be compiled again");
                continue;
            };
            match self.serve(&set, job) {
                Pause::Ended => return,
                Pause::Worn => {}
            }
        }
    }

    /// Validates until the queue ends or the compiled schema is worn.
    fn serve(&self, set: &SchemaSet, first: Job) -> Pause {
        let validator = engine::validator(set);
        let names = set.name_table.len();
        let mut job = first;
        loop {
            let verdict = catch_unwind(AssertUnwindSafe(|| engine::validate(&validator, set, &job.message)));
            let sound = verdict.is_ok();
            let _ = job.answer.send(verdict.unwrap_or(Err(NoVerdict)));
            if !sound || set.name_table.len() > names + MAX_NEW_NAMES {
                return Pause::Worn;
            }
            match self.next() {
                Some(next) => job = next,
                None => return Pause::Ended,
            }
        }
    }
}
