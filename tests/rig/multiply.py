"""Copies the one finished item of a store so often that there are COUNT of them: multiply.py DATABASE COUNT

Each copy has its own ids (the last eight bytes count), item id, references and positions; bodies are shared. Tables
that a store does not have are left out, so that a new migration does not stop it.
"""

import re
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
    for pragma in ("synchronous = OFF", "cache_size = -400000"):
        db.execute(f"PRAGMA {pragma}")
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

    olds = {raw: (number, "raw") for number, raw in enumerate(ordered)}
    names = {text_id(raw): number for number, raw in enumerate(ordered) if len(raw) == 16}
    pattern = re.compile("(" + "|".join(map(re.escape, [*names, first])) + ")")

    def maker(column, value):
        """What makes a copy's value of (item id, ids as bytes, ids as text, serial number)."""
        if isinstance(value, bytes) and value in olds:
            number = olds[value][0]
            return lambda item, raws, texts, serial: raws[number]
        if isinstance(value, str) and column == "key":
            return lambda item, raws, texts, serial: f"{value}-{serial}"
        if isinstance(value, str) and pattern.search(value):
            form = "".join(
                "{0}" if part == first else "{1[%d]}" % names[part] if part in names else part.replace("{", "{{").replace("}", "}}")
                for part in pattern.split(value)
            )
            return lambda item, raws, texts, serial: form.format(item, texts)
        if column == "position":
            return lambda item, raws, texts, serial: value + (serial - 1) * events
        if column == "key_no":
            return lambda item, raws, texts, serial: value + serial - 1
        return lambda item, raws, texts, serial: value

    def copies(makers, serial):
        raws = [raw[:8] + (serial * 256 + number).to_bytes(8, "big") + raw[16:] for number, raw in enumerate(ordered)]
        parts = (s10(serial), raws, [text_id(raw) for raw in raws], serial)
        for row in makers:
            yield [make(*parts) for make in row]

    for table, (columns, template) in rows.items():
        marks = ",".join("?" * len(columns))
        makers = [[maker(column, value) for column, value in zip(columns, row)] for row in template]
        every = (row for serial in range(2, count + 1) for row in copies(makers, serial))
        db.executemany(f"INSERT INTO {table} VALUES ({marks})", every)
        db.commit()
    db.execute("UPDATE logs SET newest = newest + ?", ((count - 1) * events,))
    db.execute("UPDATE tallies SET count = count * ? WHERE state IN ('delivered')", (count,))
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


if __name__ == "__main__":
    main()
