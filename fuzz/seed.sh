#!/usr/bin/env bash
# First inputs of each target: the shipped mappings' own files, and the official samples where they are.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
shared="${PRECLEAR_SHARED:-$PWD/../../shared}"
mkdir -p corpus/{template,expression,notice,limits}

number=0
seed() { # TARGET FILE
  number=$((number + 1))
  cp "$2" "corpus/$1/seed-$number"
}

for file in ../mappings/*/*.xml; do seed template "$file"; done
# Expressions are what stands in braces in the templates.
grep -ohE '\{[^{}]+\}' ../mappings/*/*.xml | sort -u | while IFS= read -r expression; do
  expression="${expression:1:-1}"
  printf '%s' "$expression" >"corpus/expression/$(printf '%s' "$expression" | sha256sum | cut -c1-16)"
done
for file in ../mappings/*/notices/*/notice.*; do seed notice "$file"; done
if [[ -d $shared/samples/broker ]]; then
  while IFS= read -r file; do seed notice "$file"; done < <(find "$shared/samples/broker" -name '*.xml' -size -64k)
fi
for target in template expression notice limits; do echo "$target: $(find "corpus/$target" -type f | wc -l) inputs"; done
