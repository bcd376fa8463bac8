#!/usr/bin/env bash
# Pushing and pulling one large layer beside other clients, in one run: wall time and peak memory. Then what a push costs where
# everything exists, and what images that share layers send. Prints medians and ratios; decides nothing.
#
#   scripts/bench-registry.sh [--runs N] [--mib N]
#
# Peers that are absent are left out and named. Everything it makes lies in one temporary directory, which goes away with it; the
# registries listen on loopback.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=5 mib=200
while [ $# -gt 0 ]; do
    case $1 in
        --runs) runs=$2; shift 2 ;;
        --mib) mib=$2; shift 2 ;;
        *) echo "error: unknown argument \`$1\`" >&2; exit 1 ;;
    esac
done

peers="${CORACLE_PEERS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/coracle/peers}/bin"
PATH="$peers:$PATH:/usr/sbin"
work=$(mktemp -d)
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT
cargo build --release --locked --quiet --bin coracle --example push_with_oci_client
coracle="$PWD/target/release/coracle"
oci_client="$PWD/target/release/examples/push_with_oci_client"
printf 'fn main() {}\n' > "$work/small.rs"
rustc -C target-feature=+crt-static -O -o "$work/small" "$work/small.rs"
export HOME="$work/home" TMPDIR="$work/tmp"
mkdir -p "$HOME" "$TMPDIR"

wait_for() {
    for _ in $(seq 200); do
        if (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; then return 0; fi
        sleep 0.05
    done
    echo "error: nothing listens at port $1" >&2
    exit 2
}
start_registry() { # PROGRAM: prints nothing, sets host
    local port=$(( 20000 + RANDOM % 20000 ))
    printf 'version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: 127.0.0.1:%s}\n' \
        "$work/data-$1" "$port" > "$work/$1.yml"
    OTEL_TRACES_EXPORTER=none "$1" serve "$work/$1.yml" > "$work/$1.log" 2>&1 &
    pids+=($!)
    wait_for "$port"
    host="127.0.0.1:$port"
}
median() { sort -n | awk '{ v[NR] = $1 } END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

# --- the image: a small program and a layer of noise, which nothing compresses ---------------------------------------
head -c $(( mib << 20 )) /dev/urandom > "$work/noise"
"$coracle" build "$work/small" --add "$work/noise:/noise" --output "oci:$work/layout" --quiet --no-cache > /dev/null
# The image alone, without its plan: no other client pushes one.
"$coracle" serve --listen 127.0.0.1:0 --dir "$work/through" > "$work/address" 2> /dev/null &
pids+=($!)
for _ in $(seq 100); do [ -s "$work/address" ] && break; sleep 0.05; done
through=$(head -n 1 "$work/address")
"$coracle" push "oci:$work/layout" "$through/a:v1" --quiet > /dev/null
rm -f "$work/address"
crane pull --insecure --format oci "$through/a:v1" "$work/plain" 2> /dev/null \
    || skopeo copy --quiet --src-tls-verify=false "docker://$through/a:v1" "oci:$work/plain:latest"
layer=$(find "$work/layout/blobs" -size +$(( mib - 1 ))M)

push_coracle() { "$coracle" push "oci:$work/plain" "$host/$1:v1" --quiet; }
push_crane() { crane push --insecure "$work/plain" "$host/$1:v1"; }
# It remembers the repositories of earlier runs, of all users of the machine, and takes the layer over from them.
push_skopeo() { skopeo copy --quiet --dest-tls-verify=false "oci:$work/plain" "docker://$host/$1:v1"; }
push_oci_client() { "$oci_client" "$work/plain" "$host" "$1" v1; }
push_curl() { # the layer alone: what no client can do without
    local at
    at=$(curl -sS -X POST -D - -o /dev/null "http://$host/v2/$1/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
    curl -sS -f -T "$layer" -H 'Content-Type: application/octet-stream' "$at&digest=sha256:$(basename "$layer")"
}
pull_coracle() { rm -rf "$work/pulled"; "$coracle" pull "$host/$1:v1" "oci:$work/pulled" --quiet; }
pull_crane() { rm -rf "$work/pulled"; crane pull --insecure --format oci "$host/$1:v1" "$work/pulled"; }
pull_skopeo() { rm -rf "$work/pulled"; skopeo copy --quiet --src-tls-verify=false "docker://$host/$1:v1" "oci:$work/pulled:v1"; }

tools="coracle oci_client"
for tool in crane skopeo curl; do
    if command -v $tool > /dev/null; then tools="$tools $tool"; else echo "absent: $tool" >&2; fi
done

timed() { # LABEL FUNCTION ARGUMENT: wall time into LABEL.ms
    local begin end
    begin=$(date +%s%N)
    "$2" "$3" > "$work/out.log" 2>&1 || { echo "error: $2 failed:" >&2; cat "$work/out.log" >&2; exit 2; }
    end=$(date +%s%N)
    echo $(( (end - begin) / 1000000 )) >> "$work/$1.ms"
}
peak() { # COMMAND: peak memory in KiB
    /usr/bin/time -f %M -o "$work/kib" "$@" > /dev/null 2>&1
    cat "$work/kib"
}

for program in docker-registry registry; do
    command -v $program > /dev/null || { echo "absent: $program" >&2; continue; }
    start_registry $program
    rm -f "$work"/*.ms
    for n in $(seq "$runs"); do
        for tool in $(shuf -e $tools); do timed "push-$tool" "push_$tool" "$tool-$n"; done
        for tool in $(shuf -e $tools); do
            case $tool in curl | oci_client) ;; *) timed "pull-$tool" "pull_$tool" "coracle-$n" ;; esac
        done
    done
    printf '## %s MiB of noise, %s runs, %s on loopback\n\n| client | push, median ms | coracle / client | pull, median ms | coracle / client |\n|---|---|---|---|---|\n' \
        "$mib" "$runs" "$program"
    for tool in $tools; do
        own=$(median < "$work/push-coracle.ms") m=$(median < "$work/push-$tool.ms")
        if [ -f "$work/pull-$tool.ms" ]; then
            p=$(median < "$work/pull-$tool.ms")
            q=$(ratio "$(median < "$work/pull-coracle.ms")" "$p")
        else
            p=- q=-
        fi
        printf '| %s | %s | %s | %s | %s |\n' "$tool" "$m" "$(ratio "$own" "$m")" "$p" "$q"
    done
    printf '\nskopeo takes the layer over from the repository of its first run; its first push took %s ms.\n\n' "$(head -n 1 "$work/push-skopeo.ms" 2> /dev/null)"
done

printf '## peak memory, KiB, last registry\n\n| what | push | pull |\n|---|---|---|\n'
printf '| coracle, doing nothing (`--version`) | %s | |\n' "$(peak "$coracle" --version)"
"$coracle" build "$work/small" --output "oci:$work/tiny" --quiet --no-cache > /dev/null
printf '| coracle, an image of %s KiB | %s | %s |\n' "$(du -sk "$work/tiny/blobs" | cut -f1)" \
    "$(peak "$coracle" push "oci:$work/tiny" "$host/tiny:v1" --quiet)" "$(peak "$coracle" pull "$host/tiny:v1" "oci:$work/tiny-pulled" --quiet)"
printf '| coracle, %s MiB | %s | %s |\n' "$mib" "$(peak "$coracle" push "oci:$work/plain" "$host/m1:v1" --quiet)" \
    "$(peak "$coracle" pull "$host/m1:v1" "oci:$work/m1" --quiet)"
command -v crane > /dev/null && printf '| crane, %s MiB | %s | %s |\n' "$mib" "$(peak crane push --insecure "$work/plain" "$host/m2:v1")" \
    "$(peak crane pull --insecure --format oci "$host/m1:v1" "$work/m2")"
command -v skopeo > /dev/null && printf '| skopeo, %s MiB | %s | %s |\n' "$mib" \
    "$(peak skopeo copy --quiet --dest-tls-verify=false "oci:$work/plain" "docker://$host/m3:v1")" \
    "$(peak skopeo copy --quiet --src-tls-verify=false "docker://$host/m1:v1" "oci:$work/m3:v1")"
printf '| oci-client, %s MiB | %s | |\n' "$mib" "$(peak "$oci_client" "$work/plain" "$host" m4 v1)"

# --- what goes over the wire, by the word of a registry that logs each request ---------------------------------------
"$coracle" serve --listen 127.0.0.1:0 --dir "$work/served" --log-requests > "$work/address" 2> "$work/requests" &
pids+=($!)
for _ in $(seq 100); do [ -s "$work/address" ] && break; sleep 0.05; done
host=$(head -n 1 "$work/address")
requests() { grep -c "$1" "$work/requests" || true; }
push_coracle again > /dev/null
before=$(wc -l < "$work/requests")
push_coracle again > /dev/null
printf '\n## everything there: %s requests for %s blobs, a manifest and a tag\n\n' \
    "$(( $(wc -l < "$work/requests") - before ))" "$(( $(find "$work/plain/blobs" -type f | wc -l) - 1 ))"
tail -n +$(( before + 1 )) "$work/requests" | sed 's/^/    /' | cut -c1-120

: > "$work/requests"
places=()
for n in $(seq 50); do places+=("$host/shared-$n:v1"); done
"$coracle" copy "oci:$work/plain" "${places[@]}" --quiet > /dev/null
printf '\n## one run to 50 repositories: the layer of %s MiB was sent %s times and taken over %s times\n' "$mib" \
    "$(requests "PUT .*blobs/uploads.*$(basename "$layer")")" "$(requests "mount=sha256:$(basename "$layer")")"
