//! An independent broker: mutual TLS, a ledger of every message that arrived whole, faults by script, callbacks by plan.
//!
//! It never drops a repeat from the ledger: repeats are counted, so that "nothing twice" can be judged. It *acts* on a
//! message once, as a broker that knows message ids does.

mod reply;
mod voice;

pub use reply::{FAULTS, Reply, Then};
pub use voice::Told;

use crate::client::{Client, Place};
use crate::goods::{self, Content};
use crate::notice::Notice;
use crate::pki::Pki;
use crate::wire;
use anyhow::Result;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// One message as it arrived.
#[derive(Clone)]
pub struct Arrival {
    /// When it had arrived whole.
    pub at: Instant,
    /// The `Idempotency-Key`.
    pub message_id: String,
    /// Root element: `Declaration`, `Amendment`, `Cancellation`, `Presentation`.
    pub kind: String,
    /// Our local reference.
    pub lrn: String,
    /// The item.
    pub item: String,
    /// The authority's reference that it names.
    pub mrn: String,
    /// SHA-256 of the bytes.
    pub digest: String,
    /// What it says, comparable with the declaration.
    pub content: Content,
    /// How often this message id had arrived before.
    pub turn: usize,
    /// How many messages had arrived before.
    pub of_all: usize,
    /// What was done with it.
    pub reply: Reply,
    /// When the answer began to be written; none while there is none.
    pub answered: Option<Instant>,
}

type Script = dyn Fn(&Arrival) -> Reply + Send + Sync;
type Plan = dyn Fn(&Arrival) -> Vec<(Duration, Notice)> + Send + Sync;

/// What the broker does: how it answers a message, and what customs says of one that it took.
pub struct Conduct {
    /// The answer.
    pub script: Box<Script>,
    /// The callbacks, each after a pause from the one before.
    pub plan: Box<Plan>,
}

struct Desk {
    conduct: Mutex<Arc<Conduct>>,
    ledger: Mutex<Ledger>,
    told: Mutex<Vec<Told>>,
    telling: AtomicUsize,
    unanswered: AtomicUsize,
    lines: Semaphore,
    voice: Client,
}

#[derive(Default)]
struct Ledger {
    arrivals: Vec<Arrival>,
    turns: HashMap<String, usize>,
    acted: HashMap<String, usize>,
}

/// A running broker.
#[derive(Clone)]
pub struct Broker {
    address: SocketAddr,
    acceptor: TlsAcceptor,
    desk: Arc<Desk>,
    listening: Arc<Mutex<Option<AbortHandle>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Broker {
    /// Listens on loopback and calls back to `callbacks`.
    pub fn start(pki: &Pki, callbacks: Place, conduct: Conduct) -> Result<Broker> {
        let desk = Arc::new(Desk {
            conduct: Mutex::new(Arc::new(conduct)),
            ledger: Mutex::default(),
            told: Mutex::default(),
            telling: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            lines: Semaphore::new(16),
            voice: Client::tls(callbacks, pki.connector()?),
        });
        let mut broker =
            Broker { address: SocketAddr::from(([127, 0, 0, 1], 0)), acceptor: pki.acceptor()?, desk, listening: Arc::default() };
        let listener = broker.bind()?;
        broker.address = listener.local_addr()?;
        broker.listen(listener);
        Ok(broker)
    }

    fn bind(&self) -> Result<TcpListener> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(self.address)?;
        Ok(socket.listen(256)?)
    }

    fn listen(&self, listener: TcpListener) {
        let (acceptor, desk) = (self.acceptor.clone(), self.desk.clone());
        let task = tokio::spawn(async move {
            // Dropped with this task: every connection ends when the broker is switched off.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                connections.spawn(desk.clone().serve(acceptor.clone(), stream));
            }
        });
        *lock(&self.listening) = Some(task.abort_handle());
    }

    /// Closes the port and every connection.
    pub fn off(&self) {
        if let Some(task) = lock(&self.listening).take() {
            task.abort();
        }
    }

    /// Opens the same port again.
    pub async fn on(&self) -> Result<()> {
        let began = Instant::now();
        loop {
            match self.bind() {
                Ok(listener) => {
                    self.listen(listener);
                    return Ok(());
                }
                Err(error) if began.elapsed() > Duration::from_secs(5) => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// The configured URL.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/rig", self.address.port())
    }

    /// Behaves otherwise from now on.
    pub fn behave(&self, conduct: Conduct) {
        *lock(&self.desk.conduct) = Arc::new(conduct);
    }

    /// Every message that arrived, in order of arrival.
    pub fn arrivals(&self) -> Vec<Arrival> {
        lock(&self.desk.ledger).arrivals.clone()
    }

    /// How many messages arrived.
    pub fn count(&self) -> usize {
        lock(&self.desk.ledger).arrivals.len()
    }

    /// How many message ids the broker took.
    pub fn taken(&self) -> usize {
        lock(&self.desk.ledger).acted.len()
    }

    /// Messages read and not answered at this moment.
    pub fn unanswered(&self) -> usize {
        self.desk.unanswered.load(Ordering::SeqCst)
    }

    /// Every callback that ended, with all answers it got.
    pub fn told(&self) -> Vec<Told> {
        lock(&self.desk.told).clone()
    }

    /// Callbacks that have not been taken yet.
    pub fn telling(&self) -> usize {
        self.desk.telling.load(Ordering::SeqCst)
    }

    /// Sends one notice until it is taken.
    pub async fn tell(&self, item: &str, notice: Notice) {
        self.desk.telling.fetch_add(1, Ordering::SeqCst);
        self.desk.tell(item.to_owned(), notice).await;
        self.desk.telling.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Counts a message as unanswered while it lives, also when its task is dropped.
struct Open<'a>(&'a AtomicUsize);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Desk {
    async fn serve(self: Arc<Desk>, acceptor: TlsAcceptor, stream: TcpStream) {
        stream.set_nodelay(true).ok();
        let Ok(stream) = acceptor.accept(stream).await else { return };
        let mut stream = BufReader::new(stream);
        while let Ok(Some(request)) = wire::request(&mut stream).await {
            self.unanswered.fetch_add(1, Ordering::SeqCst);
            let open = Open(&self.unanswered);
            let conduct = lock(&self.conduct).clone();
            let (arrival, index, first) = self.note(&conduct, &request);
            let plan = if first { (conduct.plan)(&arrival) } else { Vec::new() };
            let speaks_first = matches!(arrival.reply, Reply::CallFirst(_));
            if !speaks_first {
                self.clone().call(arrival.item.clone(), plan.clone(), arrival.reply.pause());
            } else if first {
                self.telling.fetch_add(plan.len(), Ordering::SeqCst);
                self.say(arrival.item.clone(), plan).await;
            }
            let stamp = || lock(&self.ledger).arrivals[index].answered = Some(Instant::now());
            let goes_on = reply::perform(&arrival.reply, &arrival, &mut stream, stamp).await;
            drop(open);
            if !goes_on {
                return;
            }
        }
    }

    /// Writes the message down; tells its place and whether the broker takes it now for the first time.
    fn note(&self, conduct: &Conduct, request: &wire::Request) -> (Arrival, usize, bool) {
        let text = String::from_utf8_lossy(&request.body);
        let root = text.trim_start().trim_start_matches('<').split([' ', '>']).next().unwrap_or_default().to_owned();
        let message_id = wire::header(&request.headers, "idempotency-key").unwrap_or_default().to_owned();
        let mut ledger = lock(&self.ledger);
        let turn = ledger.turns.entry(message_id.clone()).or_default();
        let earlier = std::mem::replace(turn, *turn + 1);
        let element = |name| goods::element(&text, name).to_owned();
        let mut arrival = Arrival {
            at: Instant::now(),
            kind: root,
            lrn: element("Lrn"),
            item: element("Item"),
            mrn: element("Mrn"),
            digest: goods::sha256(&request.body),
            content: goods::content_of_message(&text),
            turn: earlier,
            of_all: ledger.arrivals.len(),
            reply: Reply::Accept(Duration::ZERO),
            answered: None,
            message_id,
        };
        arrival.reply = (conduct.script)(&arrival);
        let first = arrival.reply.takes() && !ledger.acted.contains_key(&arrival.message_id);
        let index = ledger.arrivals.len();
        if first {
            ledger.acted.insert(arrival.message_id.clone(), index);
        }
        ledger.arrivals.push(arrival.clone());
        (arrival, index, first)
    }
}
