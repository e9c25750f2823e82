-- What was wanted and is not a message yet: an amendment, cancellation or presentation, and a declaration that waits
-- for its consignment. One row per filing. The table of the first schema was never filled.
DROP TABLE intents;
CREATE TABLE intents (
  intent_id       BLOB PRIMARY KEY,
  declaration_id  BLOB NOT NULL,
  filing_id       BLOB NOT NULL,
  broker          TEXT NOT NULL,
  kind            TEXT NOT NULL,             -- kind of the message that it becomes
  version         INTEGER NOT NULL,          -- of the declaration that it speaks for
  reason_code     TEXT,
  reason_text     TEXT,
  answer_id       INTEGER,                   -- the 202 answer of a cancellation, byte for byte
  conversation_id BLOB NOT NULL,
  traceparent     TEXT,
  state           TEXT NOT NULL DEFAULT 'waiting', -- waiting, prepared, refused, withdrawn
  why             TEXT,                      -- what it waits for, or why it was refused
  look_at         INTEGER DEFAULT 0,         -- when it is to be looked at; NULL: when something of its filing changes
  looks           INTEGER NOT NULL DEFAULT 0, -- grows with every change of its filing: a look at an older one decides nothing
  created_at      INTEGER NOT NULL,
  settled_at      INTEGER
) WITHOUT ROWID;
CREATE INDEX intents_declaration ON intents (declaration_id);
CREATE INDEX intents_filing ON intents (filing_id) WHERE state = 'waiting';
CREATE INDEX intents_due ON intents (look_at) WHERE state = 'waiting' AND look_at IS NOT NULL;
CREATE INDEX intents_broker ON intents (broker, created_at) WHERE state = 'waiting';

-- The version of the declaration that a message speaks for.
ALTER TABLE message_filings ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
-- Grows with each new declaration of the filing: a corrected one takes the place of the one before.
ALTER TABLE message_filings ADD COLUMN cycle INTEGER NOT NULL DEFAULT 1;

-- The answer that a key stands for, where it is not that of a version.
ALTER TABLE keys ADD COLUMN answer_id INTEGER;

-- The consignments of an item, without walking over those of its post.
DROP INDEX consignment_items_item;
CREATE INDEX consignment_items_item ON consignment_items (item_id, posted_on, post, receptacle_id);
