#!/usr/bin/env bash
# Finds long lines, as file:line: message; they are worth a warning.
set -euo pipefail
for file in src/*.sh tests/*.sh; do
  while IFS=: read -r line _; do
    echo "$file:$line: longer than 71 characters"
  done < <(grep -nE '^.{72,}$' "$file" || true)
done
