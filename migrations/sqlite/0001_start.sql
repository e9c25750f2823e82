-- The tables of the road, from the first declaration to the last event. Written for few and small
-- writes: what a 202 waits for is appended, and what is finished leaves the hot tables.

-- Every body, in and out, once and unchanged. Appended only; retention removes from the front.
CREATE TABLE bodies (
  body_id INTEGER PRIMARY KEY,
  size    INTEGER NOT NULL,                  -- of the plain bytes
  bytes   BLOB NOT NULL                      -- plain when as long as `size`, else an LZ4 block
);

-- One item for one destination. Natural key: item, posting date, post.
CREATE TABLE declarations (
  declaration_id BLOB PRIMARY KEY,
  post           TEXT NOT NULL,
  item_id        TEXT NOT NULL,
  posted_on      TEXT NOT NULL,
  version        INTEGER NOT NULL DEFAULT 1,
  content_hash   BLOB NOT NULL,              -- of version 1: what a repeat of the first request is known by
  lrn_used       INTEGER NOT NULL,           -- highest counter of our LRNs so far
  cancelled      INTEGER NOT NULL DEFAULT 0, -- the clearance (or only) filing ended cancelled: the S10 is free again
  arrived_at     INTEGER                     -- EMD: destination-leg events may be proposed
) WITHOUT ROWID;
-- Item first: all postings of one S10 stand together, whoever declared them.
CREATE UNIQUE INDEX declarations_item ON declarations (item_id, posted_on, post);

-- What the post said, version by version; version 1 is the declaration, later ones are amendments.
CREATE TABLE versions (
  declaration_id  BLOB NOT NULL,
  version         INTEGER NOT NULL,
  body_id         INTEGER NOT NULL,
  answer_id       INTEGER NOT NULL,          -- the 202 answer, byte for byte
  content_hash    BLOB NOT NULL,
  warnings        TEXT NOT NULL,
  conversation_id BLOB NOT NULL,
  traceparent     TEXT,
  received_at     INTEGER NOT NULL,
  reason_code     TEXT,
  reason_text     TEXT,
  PRIMARY KEY (declaration_id, version)
) WITHOUT ROWID;

-- One declaration towards one broker on one track.
CREATE TABLE filings (
  declaration_id BLOB NOT NULL,
  filing_id      BLOB NOT NULL,
  track          TEXT NOT NULL,
  broker         TEXT NOT NULL,
  rule           INTEGER NOT NULL,
  why            TEXT NOT NULL,
  created_at     INTEGER NOT NULL,
  status         TEXT,                       -- NULL until the first fact
  state          TEXT,                       -- merged state as JSON; NULL until the first fact
  PRIMARY KEY (declaration_id, filing_id)
) WITHOUT ROWID;

-- A message: one id, one set of bytes. While it stands in `outbox` its state is told there.
CREATE TABLE messages (
  message_id       BLOB PRIMARY KEY,
  broker           TEXT NOT NULL,
  kind             TEXT NOT NULL,
  state            TEXT NOT NULL,
  reason           TEXT,
  content_type     TEXT NOT NULL,
  body_id          INTEGER NOT NULL,
  body_hash        BLOB NOT NULL,
  mapping          TEXT NOT NULL,
  mapping_version  TEXT NOT NULL,
  lrn              TEXT NOT NULL,
  conversation_id  BLOB NOT NULL,
  traceparent      TEXT,
  created_at       INTEGER NOT NULL,
  settled_at       INTEGER,
  attempts         INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX messages_dead ON messages (broker, settled_at) WHERE state = 'dead';

-- Which filings a message covers, and its place in the order of each.
CREATE TABLE message_filings (
  message_id     BLOB NOT NULL,
  filing_id      BLOB NOT NULL,
  declaration_id BLOB NOT NULL,
  place          INTEGER NOT NULL,
  PRIMARY KEY (message_id, filing_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX message_filings_place ON message_filings (filing_id, place);

-- Hot: exactly the messages that are not settled.
CREATE TABLE outbox (
  broker           TEXT NOT NULL,
  message_id       BLOB NOT NULL,
  state            TEXT NOT NULL,            -- waiting, queued, sending, in_doubt
  due_at           INTEGER,                  -- NULL: an earlier message of a filing has to be settled first
  was              TEXT,                     -- the state before `sending`, for a release
  begun_at         INTEGER,
  attempts         INTEGER NOT NULL DEFAULT 0,
  first_attempt_at INTEGER,
  PRIMARY KEY (broker, message_id)
) WITHOUT ROWID;
CREATE INDEX outbox_due ON outbox (broker, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX outbox_unsure ON outbox (broker, state) WHERE state <> 'queued';

CREATE TABLE attempts (
  message_id  BLOB NOT NULL,
  number      INTEGER NOT NULL,
  started_at  INTEGER NOT NULL,
  finished_at INTEGER NOT NULL,
  outcome     TEXT NOT NULL,
  http_status INTEGER,
  spent       INTEGER NOT NULL,
  notice_id   BLOB,                          -- the broker's answer, kept as a notice
  PRIMARY KEY (message_id, number)
) WITHOUT ROWID;

-- References point to a message and are unique per broker and kind.
CREATE TABLE refs (
  broker     TEXT NOT NULL,
  kind       TEXT NOT NULL,
  value      TEXT NOT NULL,
  message_id BLOB NOT NULL,
  PRIMARY KEY (broker, kind, value)
) WITHOUT ROWID;
CREATE INDEX refs_message ON refs (message_id) WHERE kind <> 'lrn'; -- a message's LRN stands in `messages`

-- A reference that came for a second message: the first keeps it, the second is remembered here.
CREATE TABLE ref_conflicts (
  broker     TEXT NOT NULL,
  kind       TEXT NOT NULL,
  value      TEXT NOT NULL,
  message_id BLOB NOT NULL,
  seen_at    INTEGER NOT NULL,
  PRIMARY KEY (broker, kind, value, message_id)
) WITHOUT ROWID;

-- What brokers told us, stored before it is read.
CREATE TABLE notices (
  notice_id       BLOB PRIMARY KEY,
  broker          TEXT NOT NULL,
  via             TEXT NOT NULL,             -- callback, reply, poll
  dedupe_key      BLOB NOT NULL,
  content_type    TEXT NOT NULL,
  body_id         INTEGER NOT NULL,
  body_hash       BLOB NOT NULL,
  size            INTEGER NOT NULL,
  conversation    TEXT,
  received_at     INTEGER NOT NULL,
  state           TEXT NOT NULL,             -- new, applied, recorded, orphan, unreadable, unknown_code
  reason          TEXT,
  mapping_version TEXT,
  post            TEXT,                      -- whose items it speaks of; '*': of several, so that none may see the bytes
  repeats         INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE UNIQUE INDEX notices_dedupe ON notices (broker, dedupe_key);
CREATE INDEX notices_new ON notices (received_at) WHERE state = 'new';
CREATE INDEX notices_parked ON notices (state, received_at) WHERE state NOT IN ('new', 'applied', 'recorded');

CREATE TABLE notice_messages (
  message_id BLOB NOT NULL,
  notice_id  BLOB NOT NULL,
  PRIMARY KEY (message_id, notice_id)
) WITHOUT ROWID;

-- What an orphan waits for. Empty as a rule, so that looking is cheap.
CREATE TABLE orphan_refs (
  broker    TEXT NOT NULL,
  kind      TEXT NOT NULL,
  value     TEXT NOT NULL,
  notice_id BLOB NOT NULL,
  PRIMARY KEY (broker, kind, value, notice_id)
) WITHOUT ROWID;
CREATE INDEX orphan_refs_notice ON orphan_refs (notice_id);

-- The newest and the oldest kept position of each post's log.
CREATE TABLE logs (
  post   TEXT PRIMARY KEY,
  newest INTEGER NOT NULL,
  oldest INTEGER NOT NULL
) WITHOUT ROWID;

-- What the post is told: positions without gaps per post, given out inside the transaction.
CREATE TABLE events (
  post           TEXT NOT NULL,
  position       INTEGER NOT NULL,
  event_id       BLOB NOT NULL,
  type           TEXT NOT NULL,
  item_id        TEXT NOT NULL,
  declaration_id BLOB NOT NULL,
  filing_id      BLOB NOT NULL,
  track          TEXT NOT NULL,
  status         TEXT,
  occurred_at    INTEGER,
  received_at    INTEGER NOT NULL,
  json           TEXT NOT NULL,
  PRIMARY KEY (post, position)
);
CREATE INDEX events_declaration ON events (declaration_id);

CREATE TABLE subscriptions (
  subscription_id BLOB PRIMARY KEY,
  post            TEXT NOT NULL,
  url             TEXT NOT NULL,
  types           TEXT NOT NULL,             -- JSON array
  secret          BLOB NOT NULL,
  created_at      INTEGER NOT NULL,
  state           TEXT NOT NULL,             -- active, gone, failing, removed
  tests           INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX subscriptions_post ON subscriptions (post);

-- Hot: exactly the events that a subscription has not taken. Per item in order: only the first of an
-- item has a due time. Tests stand at negative positions and bring their own JSON.
CREATE TABLE deliveries (
  subscription_id BLOB NOT NULL,
  item_id         TEXT NOT NULL,
  position        INTEGER NOT NULL,
  due_at          INTEGER,
  attempts        INTEGER NOT NULL DEFAULT 0,
  first_at        INTEGER,
  event_id        BLOB,
  json            TEXT,
  PRIMARY KEY (subscription_id, item_id, position)
) WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (subscription_id, due_at) WHERE due_at IS NOT NULL;

-- What the post saw physically.
CREATE TABLE tracking (
  declaration_id BLOB NOT NULL,
  at             INTEGER NOT NULL,
  event          TEXT NOT NULL,
  office         TEXT,
  PRIMARY KEY (declaration_id, at, event)
) WITHOUT ROWID;

-- Clients' idempotency keys, in order of age, so that the old ones go without a search.
CREATE TABLE keys (
  key_no         INTEGER PRIMARY KEY,
  post           TEXT NOT NULL,
  route          TEXT NOT NULL,
  key            TEXT NOT NULL,
  body_hash      BLOB NOT NULL,
  declaration_id BLOB NOT NULL,
  version        INTEGER NOT NULL,
  used_at        INTEGER NOT NULL
);
CREATE UNIQUE INDEX keys_key ON keys (post, route, key);

CREATE TABLE broker_controls (
  broker    TEXT PRIMARY KEY,
  reason    TEXT,
  paused_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Messages per broker and state, kept with every change, so that nobody has to count.
CREATE TABLE tallies (
  broker TEXT NOT NULL,
  state  TEXT NOT NULL,
  count  INTEGER NOT NULL,
  PRIMARY KEY (broker, state)
) WITHOUT ROWID;

-- A wish to amend, cancel, present or answer that waits until it is known what it becomes.
CREATE TABLE intents (
  intent_id      BLOB PRIMARY KEY,
  declaration_id BLOB NOT NULL,
  filing_id      BLOB NOT NULL,
  kind           TEXT NOT NULL,
  version        INTEGER,
  reason_code    TEXT,
  reason_text    TEXT,
  body_id        INTEGER,
  state          TEXT NOT NULL,              -- waiting, prepared, refused, withdrawn
  message_id     BLOB,
  created_at     INTEGER NOT NULL,
  settled_at     INTEGER
) WITHOUT ROWID;
CREATE INDEX intents_filing ON intents (filing_id);
CREATE INDEX intents_waiting ON intents (created_at) WHERE state = 'waiting';

-- The dispatch, MAWB or bulk that items travel in.
CREATE TABLE consignments (
  post           TEXT NOT NULL,
  consignment_id TEXT NOT NULL,
  type           TEXT NOT NULL,              -- dispatch, mawb, bulk
  transport      TEXT NOT NULL,              -- JSON
  closed         INTEGER NOT NULL DEFAULT 0,
  arrived_at     INTEGER,
  created_at     INTEGER NOT NULL,
  changed_at     INTEGER NOT NULL,
  PRIMARY KEY (post, consignment_id)
) WITHOUT ROWID;

CREATE TABLE consignment_items (
  post           TEXT NOT NULL,
  consignment_id TEXT NOT NULL,
  item_id        TEXT NOT NULL,
  posted_on      TEXT NOT NULL,
  receptacle_id  TEXT,
  PRIMARY KEY (post, consignment_id, item_id, posted_on)
) WITHOUT ROWID;
CREATE INDEX consignment_items_item ON consignment_items (post, item_id, posted_on);

-- Written only to find out whether the disk takes anything again.
CREATE TABLE pulse (
  one  INTEGER PRIMARY KEY CHECK (one = 1),
  beat INTEGER NOT NULL
);
INSERT INTO pulse (one, beat) VALUES (1, 0);
