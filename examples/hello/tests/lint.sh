#!/usr/bin/env bash
# Finds lines that are longer than they should be, as file:line: message.
set -euo pipefail
status=0
for file in src/*.sh tests/*.sh; do
  while IFS=: read -r line _; do
    echo "$file:$line: longer than 70 characters"
    status=1
  done < <(grep -nE '^.{71,}$' "$file" || true)
done
exit "$status"
