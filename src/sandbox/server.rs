//! The listener of the simulated broker: connections in, answers out.
//!
//! Why it exists: it is the thin shell around the desk. It reads a request, has it checked, writes the ledger, and does on
//! the wire what the desk decided, up to cutting the connection.
//!
//! Invariants: the ledger knows an arrival before the answer is written; notices follow the answer (unless the scenario
//! says otherwise) even when the client has gone meanwhile; connections and open plans are bounded; logs hold no body.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::caller::Caller;
use super::desk::{Answer, Decision, Desk, Due};
use super::folder::{self, Folder};
use super::http1::{Http1, ReadFault, Request, Response};
use super::ledger::{Entry, Ledger, Outcome};
use super::message::{self, Message};
use super::notice::escape;
use super::scenario::Scenario;
use super::schema::{Schema, SchemaFault};
use super::tls::Peer;
use super::{ChooseScenario, clock};

const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
const MAX_CONNECTIONS: usize = 1024;
/// Messages whose notices are still on their way; beyond it the broker answers 503.
const MAX_PLANS: usize = 50_000;
/// How long the scenario `early` waits for its notices to be taken before it answers.
const EARLY_DEADLINE: Duration = Duration::from_secs(5);
/// How long open work may go on after a stop.
const GRACE: Duration = Duration::from_secs(3);

/// How a scenario is chosen for a message.
pub(super) struct Choice {
    pub scenario: Scenario,
    pub rules: Vec<(String, Scenario)>,
    pub choose: Option<ChooseScenario>,
}

impl Choice {
    fn of(&self, body: &[u8], message: &Message) -> Scenario {
        if let Some(chosen) = self.choose.as_ref().and_then(|choose| choose(body)) {
            return chosen;
        }
        // A valid message is UTF-8.
        let text = std::str::from_utf8(body).unwrap_or_default();
        match self.rules.iter().find(|(needle, _)| text.contains(needle.as_str())) {
            Some((_, scenario)) => *scenario,
            None if message.is_pre_lodged() => self.scenario.for_pre_lodged(),
            None => self.scenario,
        }
    }
}

/// Everything that the connections share.
pub(super) struct Shared {
    pub desk: Desk,
    pub ledger: Ledger,
    pub choice: Choice,
    pub schema: Option<Schema>,
    /// The mapping's folder whose cases are sent.
    pub folder: Option<Folder>,
    pub caller: watch::Sender<Option<Caller>>,
    pub max_body: usize,
    pub delay: Duration,
    pub slow: Duration,
    pub retry_after_s: u32,
    /// Stop taking requests.
    pub stop: CancellationToken,
    /// Drop everything.
    pub kill: CancellationToken,
    pub plans: TaskTracker,
    /// Messages whose notices are still on their way.
    pub pending: watch::Sender<usize>,
}

/// Accepts connections until `stop`, then lets open work end within the grace.
pub(super) async fn run(shared: Arc<Shared>, listener: TcpListener, acceptor: TlsAcceptor) {
    let mut connections = JoinSet::new();
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((tcp, _)) => {
                let Ok(permit) = permits.clone().try_acquire_owned() else { continue };
                let (shared, acceptor) = (shared.clone(), acceptor.clone());
                connections.spawn(async move {
                    serve(&shared, &acceptor, tcp).await;
                    drop(permit);
                });
            }
            Err(fault) => {
                tracing::warn!(%fault, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    shared.plans.close();
    let ended = async {
        while connections.join_next().await.is_some() {}
        shared.plans.wait().await;
    };
    if timeout(GRACE, ended).await.is_err() {
        tracing::warn!(sandbox.messages = *shared.pending.borrow(), "stopped with callbacks still on their way");
    }
    shared.kill.cancel();
    connections.shutdown().await;
    shared.plans.wait().await;
}

async fn serve(shared: &Arc<Shared>, acceptor: &TlsAcceptor, tcp: TcpStream) {
    // Small answers must not wait for more; if it cannot be set they are only slower.
    let _ = tcp.set_nodelay(true);
    let stream = match timeout(HANDSHAKE_DEADLINE, acceptor.accept(tcp)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(fault)) => return tracing::info!(%fault, "TLS handshake refused"),
        Err(_) => return tracing::info!("TLS handshake took too long"),
    };
    // The verifier demands a certificate; this only guards against a wrong configuration.
    let Some(peer) = Peer::of(stream.get_ref().1) else { return tracing::error!("no readable client certificate") };
    let mut http = Http1::new(stream, shared.max_body);
    loop {
        let read = tokio::select! {
            () = shared.stop.cancelled() => return http.shut().await,
            read = http.read() => read,
        };
        let go_on = match read {
            Err(ReadFault::Gone) => return,
            Err(ReadFault::Refuse(status)) => {
                // The client may be gone; the connection ends in any case.
                let _ = http.write(&refusal(status, "BAD_REQUEST", "the request cannot be read", &[]), true).await;
                return http.shut().await;
            }
            Ok(request) => {
                let reply = arrive(shared, &peer, &request).await;
                let close = !request.keep_alive || shared.stop.is_cancelled();
                match reply {
                    Reply::Cut(after) => {
                        cut(http);
                        start(shared, after);
                        return;
                    }
                    Reply::Answer(response, after) => {
                        let written = http.write(&response, close).await;
                        start(shared, after);
                        written.is_ok() && !close
                    }
                }
            }
        };
        if !go_on {
            return http.shut().await;
        }
    }
}

/// Cuts the connection so that the client sees a reset, not an orderly end.
fn cut(http: Http1<TlsStream<TcpStream>>) {
    let stream = http.into_stream();
    if let Err(fault) = stream.get_ref().0.set_zero_linger() {
        tracing::warn!(%fault, "the connection ends without a reset");
    }
}

/// Notices that are to follow, counted as pending from the moment of the decision.
struct Plan {
    due: Vec<Due>,
    pending: watch::Sender<usize>,
}

impl Drop for Plan {
    fn drop(&mut self) {
        self.pending.send_modify(|pending| *pending = pending.saturating_sub(1));
    }
}

enum Reply {
    Answer(Response, Option<Plan>),
    Cut(Option<Plan>),
}

/// Checks a request, has the desk decide, and writes the ledger.
async fn arrive(shared: &Arc<Shared>, peer: &Peer, request: &Request) -> Reply {
    if request.method != "POST" {
        let mut response = refusal(405, "METHOD_NOT_ALLOWED", "only POST is taken here", &[]);
        response.headers.push(("Allow", "POST".to_owned()));
        return Reply::Answer(response, None);
    }
    let sha256: [u8; 32] = Sha256::digest(&request.body).into();
    let mut entry = Entry {
        time: clock::now(),
        path: request.path.chars().take(256).collect(),
        idempotency_key: request.header("idempotency-key").map(|key| key.chars().take(255).collect()),
        body_sha256: sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
        bytes: request.body.len(),
        lrn: None,
        type_code: None,
        client_sha256: peer.sha256.clone(),
        client_sans: peer.sans.clone(),
        scenario: None,
        conversation_id: None,
        answer: None,
        outcome: Outcome::Refused,
        arrival: 0,
        repeat: false,
        refused_for: None,
    };
    let (key, message) = match check(shared, request).await {
        Ok(found) => found,
        Err((reason, response)) => {
            entry.answer = Some(response.status);
            entry.refused_for = Some(reason);
            shared.ledger.record(entry);
            return Reply::Answer(response, None);
        }
    };
    let scenario = shared.choice.of(&request.body, &message);
    let mut decision = shared.desk.receive(&key, sha256, &message, scenario, entry.time);
    if let Some(folder) = &shared.folder {
        decision.speak(folder, &message.lrn);
    }
    entry.answer = status_of(decision.answer).map(|status| if status == 202 && decision.reply.is_some() { 200 } else { status });
    entry.lrn = Some(message.lrn);
    entry.type_code = Some(message.type_code);
    entry.scenario = Some(scenario);
    entry.conversation_id = decision.conversation;
    entry.outcome = decision.outcome;
    entry.arrival = decision.arrival;
    entry.repeat = decision.arrival > 1;
    tracing::info!(
        sandbox.outcome = ?entry.outcome,
        sandbox.scenario = %scenario,
        sandbox.arrival = entry.arrival,
        sandbox.conversation_id = ?entry.conversation_id,
        "message arrived"
    );
    shared.ledger.record(entry);
    carry_out(shared, decision).await
}

/// Does what the desk decided, up to the writing of the answer.
async fn carry_out(shared: &Arc<Shared>, decision: Decision) -> Reply {
    let mut plan = (!decision.due.is_empty()).then(|| {
        shared.pending.send_modify(|pending| *pending += 1);
        Plan { due: decision.due, pending: shared.pending.clone() }
    });
    let conversation = decision.conversation.map(|id| ("X-Conversation-ID", id.to_string()));
    let with = |status, mut headers: Vec<(&'static str, String)>, body: &[u8]| {
        headers.extend(conversation.clone());
        Response { status, headers, body: body.to_vec() }
    };
    let taken = || match &decision.reply {
        Some(told) => with(200, vec![("Content-Type", told.content_type.to_owned())], &told.body),
        None => with(202, vec![], b""),
    };
    let response = match decision.answer {
        Answer::Cut => return Reply::Cut(plan),
        Answer::Accepted => {
            if decision.early {
                bring_early(shared, plan.take()).await;
            }
            taken()
        }
        Answer::AcceptedSlowly => {
            tokio::select! {
                () = tokio::time::sleep(shared.slow) => {}
                () = shared.stop.cancelled() => {}
            }
            taken()
        }
        Answer::Junk => with(200, vec![("Content-Type", "text/html".to_owned())], b"<html><p>It works!<br></html>\0\xff"),
        Answer::TooManyRequests => {
            let mut response = refusal(429, "MESSAGE_THROTTLED_OUT", "too many messages", &[]);
            response.headers.push(("Retry-After", shared.retry_after_s.to_string()));
            response
        }
        Answer::ServerError(status) => refusal(status, "INTERNAL_SERVER_ERROR", "the service is not available", &[]),
        Answer::Conflict => refusal(409, "CONFLICT", "the message id was used with another message", &[]),
    };
    Reply::Answer(response, plan)
}

fn status_of(answer: Answer) -> Option<u16> {
    match answer {
        Answer::Accepted | Answer::AcceptedSlowly => Some(202),
        Answer::Junk => Some(200),
        Answer::TooManyRequests => Some(429),
        Answer::ServerError(status) => Some(status),
        Answer::Conflict => Some(409),
        Answer::Cut => None,
    }
}

/// Brings the notices before the answer; what takes too long goes on beside it.
async fn bring_early(shared: &Arc<Shared>, plan: Option<Plan>) {
    if let Some(brought) = start(shared, plan) {
        let _ = timeout(EARLY_DEADLINE, brought).await;
    }
}

/// Sets the notices of a plan on their way; none where there is nothing to bring or nobody to bring it to.
fn start(shared: &Arc<Shared>, plan: Option<Plan>) -> Option<JoinHandle<()>> {
    let mut plan = plan?;
    let caller = shared.caller.borrow().clone()?;
    let (delay, kill) = (shared.delay, shared.kill.clone());
    Some(shared.plans.spawn(async move {
        let due = std::mem::take(&mut plan.due);
        tokio::select! {
            () = kill.cancelled() => {}
            () = caller.bring(due, delay) => {}
        }
    }))
}

/// The outer checks of a message: headers, shape, schema.
async fn check(shared: &Shared, request: &Request) -> Result<(String, Message), (&'static str, Response)> {
    if *shared.pending.borrow() >= MAX_PLANS {
        let mut response = refusal(503, "SERVER_BUSY", "too many messages are being worked on", &[]);
        response.headers.push(("Retry-After", shared.retry_after_s.to_string()));
        return Err(("too many messages are being worked on", response));
    }
    let media = request.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let is_xml = ["application/xml", "text/xml"].iter().any(|known| media.eq_ignore_ascii_case(known));
    let is_known = is_xml || shared.folder.is_some();
    if !is_known || request.header("content-encoding").is_some_and(|coding| coding != "identity") {
        return Err(refused(415, "UNSUPPORTED_MEDIA_TYPE", "the content type must be XML"));
    }
    let key = request.header("idempotency-key").unwrap_or_default();
    if key.is_empty() || key.len() > 255 || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refused(400, "BAD_REQUEST", "Idempotency-Key is missing or malformed"));
    }
    let read = if shared.folder.is_some() { folder::message(&request.body) } else { message::read(&request.body) };
    let message = read.map_err(|rule| refused(400, "BAD_REQUEST", rule))?;
    if let Some(schema) = &shared.schema {
        match schema.check(request.body.clone()).await {
            Ok(()) => {}
            Err(SchemaFault::Invalid(words)) => {
                let what = "Payload is not valid according to schema";
                return Err((what, refusal(400, "BAD_REQUEST", what, &words)));
            }
            Err(SchemaFault::NoVerdict) => {
                tracing::error!("xmllint gave no verdict: is the schema file whole?");
                return Err(refused(500, "INTERNAL_SERVER_ERROR", "the message could not be validated"));
            }
        }
    }
    Ok((key.to_owned(), message))
}

/// A refusal with its reason.
fn refused(status: u16, code: &str, reason: &'static str) -> (&'static str, Response) {
    (reason, refusal(status, code, reason, &[]))
}

/// An answer that takes nothing, with the authority's error body.
fn refusal(status: u16, code: &str, message: &str, errors: &[String]) -> Response {
    let mut body = format!("<errorResponse><code>{code}</code><message>{}</message>", escape(message));
    if !errors.is_empty() {
        body.push_str("<errors>");
        for error in errors {
            let text: String = error.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            body.push_str(&format!("<error><code>xml_validation_error</code><message>{}</message></error>", escape(&text)));
        }
        body.push_str("</errors>");
    }
    body.push_str("</errorResponse>");
    let headers = vec![("Content-Type", "application/xml; charset=UTF-8".to_owned())];
    Response { status, headers, body: body.into_bytes() }
}
