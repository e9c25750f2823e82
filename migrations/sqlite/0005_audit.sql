-- Evidence: a chain of hashes over what was taken, made, settled, told and ordered. Appended only.

-- One row for each commit that had something to chain.
CREATE TABLE links (
  link_id  INTEGER PRIMARY KEY,              -- what the rows of that commit name
  chain    BLOB NOT NULL,                    -- one for each writer
  number   INTEGER NOT NULL,                 -- from 1, without gaps
  at       INTEGER NOT NULL,
  previous BLOB NOT NULL,                    -- hash of the link before; of the chain's id for the first
  entries  BLOB NOT NULL,                    -- 49 bytes each: kind, subject, digest
  hash     BLOB NOT NULL                     -- SHA-256 of chain, previous, number, at and entries
);
CREATE UNIQUE INDEX links_number ON links (chain, number);

-- What the digests of an item are salted with. Once it is gone, nothing in the chain tells of the item any more.
CREATE TABLE salts (
  declaration_id BLOB PRIMARY KEY,
  salt           BLOB NOT NULL
) WITHOUT ROWID;

-- The link that each row's digest stands in; NULL for what is older than the chain.
ALTER TABLE versions ADD COLUMN link_id INTEGER;
ALTER TABLE messages ADD COLUMN link_id INTEGER;
ALTER TABLE notices ADD COLUMN link_id INTEGER;
-- Whose item a notice speaks of is not known when it is stored: it has a salt of its own.
ALTER TABLE notices ADD COLUMN salt BLOB;

-- What operators ordered. An order of several steps has a row for each, written in the commit of the step.
CREATE TABLE acts (
  act_id  BLOB NOT NULL,
  part    INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  act     TEXT NOT NULL,
  broker  TEXT,
  filter  TEXT,                              -- JSON of ours: ids, names of the configuration, words
  reason  TEXT,                              -- the operator's own words
  done    INTEGER,                           -- rows that were changed; NULL where it is not about rows
  salt    BLOB NOT NULL,
  link_id INTEGER NOT NULL,
  PRIMARY KEY (act_id, part)
) WITHOUT ROWID;
