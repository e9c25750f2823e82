#!/usr/bin/env python3
"""Files that no compiler reads: they must parse, name each key once, and speak of metrics that exist.

YAML, TOML, JSON and NDJSON of the repository are parsed; a key given twice is a fault, for most readers keep the last
one silently. Every `preclear_…` metric that alerts and dashboards use must stand in `src/`, so that renaming a metric
cannot silence an alert.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml


class Strict(yaml.SafeLoader):
    """A loader that refuses a key given twice."""


def mapping_of(loader, node, deep=False):
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"line {node.start_mark.line + 1}: the key {key!r} is given twice")
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping_of)


def object_of(pairs):
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the member {name!r} is given twice")
    return dict(pairs)


def parse(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    match path.suffix:
        case ".yml" | ".yaml":
            list(yaml.load_all(text, Loader=Strict))
        case ".toml":
            tomllib.loads(text)
        case ".json":
            json.loads(text, object_pairs_hook=object_of)
        case ".ndjson":
            for number, line in enumerate(text.splitlines(), 1):
                try:
                    json.loads(line, object_pairs_hook=object_of)
                except ValueError as fault:
                    raise ValueError(f"line {number}: {fault}") from fault


def metric_faults() -> list[str]:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in Path("src").rglob("*.rs"))
    made = set(re.findall(r"preclear_[a-z_]+", sources))
    faults = []
    for path in sorted(Path("deploy").rglob("*")):
        if path.suffix not in (".yml", ".json"):
            continue
        for name in sorted(set(re.findall(r"\bpreclear_[a-z_]+", path.read_text(encoding="utf-8")))):
            if name not in made and re.sub(r"_(bucket|sum|count)$", "", name) not in made:
                faults.append(f"{path}: the metric {name} is not in src/")
    return faults


def main() -> int:
    patterns = ["*.yml", "*.yaml", "*.toml", "*.json", "*.ndjson"]
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns], check=True, capture_output=True
    )
    faults, count = [], 0
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = Path(name)
        # Cases hold inputs that are wrong on purpose.
        if not path.is_file() or {"cases", "notices", "fuzz"} & set(path.parts):
            continue
        count += 1
        try:
            parse(path)
        except (ValueError, yaml.YAMLError) as fault:
            faults.append(f"{path}: {fault}")
    faults += metric_faults()
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{count} files parsed, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
