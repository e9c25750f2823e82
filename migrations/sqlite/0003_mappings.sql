-- Good versions of the mappings, each kept once by the hash of its files: a start whose files are broken has
-- something to serve, and what a message was made by can be looked at as long as the message is kept.
CREATE TABLE mappings (
  mapping_id INTEGER PRIMARY KEY,
  name       TEXT NOT NULL,
  hash       BLOB NOT NULL,              -- SHA-256 of the files, compared when they are read back
  version    TEXT NOT NULL,              -- as messages name it: declared version + first digits of the hash
  size       INTEGER NOT NULL,           -- of the files as one archive
  bytes      BLOB NOT NULL,              -- plain when as long as `size`, else an LZ4 block
  kept_at    INTEGER NOT NULL,           -- when it was last taken into use
  turn       INTEGER NOT NULL,           -- grows with every taking into use: the highest of a name is its newest
  named      INTEGER NOT NULL DEFAULT 0  -- a message was found to name it: not to be looked for again, never removed
);
CREATE UNIQUE INDEX mappings_hash ON mappings (name, hash);
CREATE UNIQUE INDEX mappings_turn ON mappings (name, turn);
