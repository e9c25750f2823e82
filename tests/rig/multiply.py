"""Copies the one finished item of a store so often that there are COUNT of them: multiply.py DATABASE COUNT

Each copy has its own ids (the last eight bytes count), item id, references and positions; bodies are shared. Tables
that a store does not have are left out, so that a new migration does not stop it.
"""

import sqlite3
import sys

TABLES = [
    "declarations", "versions", "filings", "messages", "message_filings", "attempts", "refs", "notices",
    "notice_messages", "events", "tracking", "keys",
]
IDS = {"declaration_id", "filing_id", "message_id", "notice_id", "event_id", "dedupe_key", "conversation_id"}


def s10(serial):
    digits = f"{serial:08d}"
    check = 11 - sum(int(d) * w for d, w in zip(digits, (8, 6, 4, 2, 3, 5, 9, 7))) % 11
    return f"EE{digits}{ {10: 0, 11: 5}.get(check, check) }KR"


def text_id(raw):
    h = raw.hex()
    return "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:32]))


def main():
    path, count = sys.argv[1], int(sys.argv[2])
    db = sqlite3.connect(path)
    db.execute("PRAGMA synchronous = OFF")
    there = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    rows, ids = {}, set()
    for table in [name for name in TABLES if name in there]:
        cursor = db.execute(f"SELECT * FROM {table}")
        columns = [column[0] for column in cursor.description]
        rows[table] = (columns, cursor.fetchall())
        for row in rows[table][1]:
            ids |= {value for column, value in zip(columns, row) if column in IDS and isinstance(value, bytes)}
    first = s10(1)
    ordered = sorted(ids)
    events = len(rows["events"][1])

    def copies(columns, template, serial):
        item = s10(serial)
        tails = {raw: raw[:8] + (serial * 256 + number).to_bytes(8, "big") + raw[16:] for number, raw in enumerate(ordered)}
        texts = [(text_id(raw), text_id(new)) for raw, new in tails.items() if len(raw) == 16] + [(first, item)]
        for row in template:
            new = []
            for column, value in zip(columns, row):
                if isinstance(value, bytes):
                    value = tails.get(value, value)
                elif isinstance(value, str):
                    for old, fresh in texts:
                        value = value.replace(old, fresh)
                    if column == "key":
                        value = f"{value}-{serial}"
                elif column == "position":
                    value += (serial - 1) * events
                elif column == "key_no":
                    value += serial - 1
                new.append(value)
            yield new

    for table, (columns, template) in rows.items():
        marks = ",".join("?" * len(columns))
        every = (row for serial in range(2, count + 1) for row in copies(columns, template, serial))
        db.executemany(f"INSERT INTO {table} VALUES ({marks})", every)
        db.commit()
    db.execute("UPDATE logs SET newest = newest + ?", ((count - 1) * events,))
    db.execute("UPDATE tallies SET count = count * ? WHERE state IN ('delivered')", (count,))
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


if __name__ == "__main__":
    main()
