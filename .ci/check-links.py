#!/usr/bin/env python3
"""Relative links in the Markdown files must lead to a file, and to a heading where they name one."""

import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from urllib.parse import unquote

LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^\s{0,3}\[[^\]^]+\]:\s+<?(\S+?)>?(?:\s|$)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.MULTILINE)
FENCE = re.compile(r"^( {0,3})(`{3,}|~{3,})[^\n]*\n.*?^ {0,3}\2[`~]*[ \t]*$", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"(`+)(?:(?!\1).)+?\1", re.DOTALL)


def text_of(path: Path) -> str:
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors_of(path: Path) -> set[str]:
    """The anchors that code hosts make of headings: lower case, words joined by hyphens, repeats numbered."""
    anchors: set[str] = set()
    for heading in HEADING.findall(text_of(path)):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        kept = "".join(c for c in heading if c in " -_" or unicodedata.category(c)[0] in "LN").replace(" ", "-")
        anchor, count = kept, 0
        while anchor in anchors:
            count += 1
            anchor = f"{kept}-{count}"
        anchors.add(anchor)
    return anchors


def main() -> int:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"], check=True, capture_output=True
    )
    files = [Path(name) for name in listed.stdout.decode().split("\0") if name and Path(name).is_file()]
    faults, links = [], 0
    for file in files:
        text = INLINE_CODE.sub("", text_of(file))
        for target in LINK.findall(text) + REFERENCE.findall(text):
            if re.match(r"[a-z][a-z0-9+.-]*:", target, re.IGNORECASE):
                continue
            links += 1
            path, _, anchor = unquote(target).partition("#")
            there = (Path(path[1:]) if path.startswith("/") else file.parent / path) if path else file
            if not there.exists():
                faults.append(f"{file}: {target}: no such file")
            elif anchor and there.suffix == ".md" and anchor.lower() not in anchors_of(there):
                faults.append(f"{file}: {target}: no such heading")
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{len(files)} Markdown files, {links} relative links, {len(faults)} broken")
    return 1 if faults or not files else 0


if __name__ == "__main__":
    sys.exit(main())
