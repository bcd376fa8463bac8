#!/usr/bin/env bash
# Runs the README's shell blocks as a reader would: those between `<!-- run -->` and the end of the block, in order, in
# one shell, from the top of the repository. What they print goes to standard output.
set -euo pipefail
cd "$(dirname "$0")/.."

blocks=$(awk '
    /^<!-- run -->$/ { armed = 1; next }
    armed && /^```sh$/ { inside = 1; armed = 0; count++; next }
    inside && /^```$/ { inside = 0; print ""; next }
    inside { print }
    END { if (!count) exit 1 }
' README.md) || { echo "error: README.md has no block to run" >&2; exit 1; }

printf '%s\n' "$blocks" | sed 's/^/+ /'
bash -euo pipefail -c "$blocks"
