#!/usr/bin/env bash
# The closure of one program, of some and of a whole tree beside libtree, lddtree and the loader itself, in one run, with
# warm page cache. Prints medians and the ratio to coracle; decides nothing.
#
#     scripts/bench-closure.sh [--runs N] [--program FILE] [--some N]
#
# The tree is /usr of this machine, since libtree knows no other root. Peers that are absent are left out and named.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=10 program=/usr/bin/curl some=100
while [ $# -gt 0 ]; do
    case $1 in
        --runs) runs=$2; shift 2 ;;
        --program) program=$2; shift 2 ;;
        --some) some=$2; shift 2 ;;
        *) echo "error: unknown argument \`$1\`" >&2; exit 1 ;;
    esac
done
command -v hyperfine > /dev/null || { echo "error: hyperfine is absent; scripts/peers.sh base installs it" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --release --locked --quiet --example closure_of_tree
ours=$PWD/target/release/examples/closure_of_tree

# Programs and libraries that name the loader of this machine, or are found with no interpreter.
find /usr/bin /usr/sbin "/usr/lib/$(uname -m)-linux-gnu" -type f -size +1k -print0 | sort -z \
    | xargs -0 -n 500 file --no-pad | grep -E ': ELF .*(dynamically linked|shared object)' | sed 's/: ELF .*//' > "$work/all" || true
awk -v n="$(wc -l < "$work/all")" -v some="$some" 'int(NR * some / n) > int((NR - 1) * some / n)' "$work/all" > "$work/some"
echo "$program" > "$work/one"

# measure TITLE RUNS NAME COMMAND [NAME COMMAND]...: one table.
measure() {
    local title=$1 count=$2 words=()
    shift 2
    while [ $# -gt 0 ]; do words+=(-n "$1" "$2"); shift 2; done
    # A peer that meets a file it cannot explain exits with a status of its own.
    hyperfine --style none --warmup 1 --runs "$count" --ignore-failure --export-csv "$work/csv" "${words[@]}" > /dev/null 2>&1
    printf '## %s\n\n| tool | median ms | tool / coracle |\n|---|---|---|\n' "$title"
    awk -F, 'NR == 2 { base = $4 } NR > 1 { printf "| %s | %.1f | %.1f |\n", $1, $4 * 1000, $4 / base }' "$work/csv"
    printf '\n'
}

# Debian's lddtree is a program of Debian's Python, which another one in PATH hides.
lddtree="PATH=/usr/bin:/bin lddtree"
works() { bash -c "$* $program" 2> /dev/null | grep -q libc; }
have_libtree=1 have_lddtree=1
works libtree -vv || { have_libtree=0 && echo "absent: libtree" >&2; }
works "$lddtree" || { have_lddtree=0 && echo "absent: lddtree" >&2; }

peers() { # FILE-OF-PATHS [lddtree]: the peers that are here, as NAME COMMAND pairs, one a line
    [ $have_libtree = 0 ] || printf 'libtree\nxargs libtree -vv < %s > /dev/null\n' "$1"
    # Not for whole trees: minutes.
    [ $have_lddtree = 0 ] || [ -z "${2:-}" ] || printf 'lddtree\n%s $(cat %s) > /dev/null\n' "$lddtree" "$1"
    printf 'ld.so\nwhile read -r f; do LD_TRACE_LOADED_OBJECTS=1 %s "$f"; done < %s > /dev/null 2>&1\n' "$loader" "$1"
}
loader=$(readelf -p .interp "$program" 2> /dev/null | sed -n 's/.*] *//p' | head -n 1)
loader=${loader:-/lib64/ld-linux-x86-64.so.2}

mapfile -t one < <(peers "$work/one" lddtree)
measure "closure of $program ($(LD_TRACE_LOADED_OBJECTS=1 "$loader" "$program" | grep -c '=> /') libraries)" $((runs * 3)) \
    coracle "$ours / < $work/one > /dev/null" "${one[@]}"
mapfile -t few < <(peers "$work/some" lddtree)
measure "closures of $(wc -l < "$work/some") files of /usr" "$((runs / 3 + 1))" coracle "$ours / < $work/some > /dev/null" "${few[@]}"
mapfile -t all < <(peers "$work/all")
measure "closures of all $(wc -l < "$work/all") files of /usr" "$((runs / 3 + 1))" coracle "$ours / < $work/all > /dev/null" "${all[@]}"
