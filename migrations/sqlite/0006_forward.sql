-- Until when a broker asked to be left alone (Retry-After). Both ends, so that a clock that was put back is noticed.
CREATE TABLE broker_holds (
  broker     TEXT PRIMARY KEY,
  held_at    INTEGER NOT NULL,
  held_until INTEGER NOT NULL
) WITHOUT ROWID;

-- Since when the broker has a filing and customs has said nothing; NULL before that, and after the first decision.
ALTER TABLE filings ADD COLUMN awaited_since INTEGER;
-- When the post was told that the answer is overdue; NULL again with the first decision.
ALTER TABLE filings ADD COLUMN overdue_at INTEGER;
UPDATE filings SET awaited_since = created_at WHERE status IN ('submitted', 'registered');
CREATE INDEX filings_awaited ON filings (broker, awaited_since) WHERE awaited_since IS NOT NULL;
CREATE INDEX filings_overdue ON filings (broker) WHERE overdue_at IS NOT NULL;
