-- The rates that a message's amounts were converted by, as JSON; NULL when none were:
-- [{"from":"EUR","to":"GBP","rate":"0.8435","date":"2026-11-01","source":"HMRC"}]
ALTER TABLE messages ADD COLUMN conversions TEXT;
