#!/usr/bin/env bash
# Whole commands beside real peers, in one run: cold build and push of one binary, a rebuild with nothing changed, peak
# memory over sizes. Prints medians and the ratio to coracle; decides nothing.
#
#   scripts/bench.sh [--runs N] [--binary FILE] [--skip-memory]
#
# Peers that are absent are left out and named. Needs /usr/bin/time for the memory figures. Everything it makes lies in one
# temporary directory, which goes away with it; the registry listens on loopback.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=5 binary="" memory=1
while [ $# -gt 0 ]; do
    case $1 in
        --runs) runs=$2; shift 2 ;;
        --binary) binary=$2; shift 2 ;;
        --skip-memory) memory=0; shift ;;
        *) echo "error: unknown argument \`$1\`" >&2; exit 1 ;;
    esac
done

peers="${CORACLE_PEERS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/coracle/peers}/bin"
PATH="$peers:$PATH"
work=$(mktemp -d)
registry_pid=""
cleanup() {
    [ -z "$registry_pid" ] || kill "$registry_pid" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
export TMPDIR="$work/tmp" XDG_CACHE_HOME="$work/cache" HOME="$work/home"
mkdir -p "$TMPDIR" "$HOME"
printf '{"auths":{}}' > "$work/auth.json"
export REGISTRY_AUTH_FILE="$work/auth.json"

# The toolchain is looked for below the real home.
cargo_home=${CARGO_HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)/.cargo}
export CARGO_HOME="$cargo_home" RUSTUP_HOME="${RUSTUP_HOME:-${cargo_home%/.cargo}/.rustup}"
cargo build --release --locked --quiet
coracle="$PWD/target/release/coracle"

# --- a registry that nobody here wrote ----------------------------------------------------------------------------
if ! command -v docker-registry > /dev/null; then
    echo "error: docker-registry is absent; scripts/peers.sh base installs it" >&2
    exit 2
fi
port=$(( 20000 + RANDOM % 20000 ))
cat > "$work/registry.yml" <<YAML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/registry}, delete: {enabled: true}}
http: {addr: 127.0.0.1:$port}
YAML
# A variable of that name would be read as a part of the registry's own configuration.
env -u REGISTRY_AUTH_FILE docker-registry serve "$work/registry.yml" > "$work/registry.log" 2>&1 &
registry_pid=$!
up=0
for _ in $(seq 200); do
    if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then up=1 && break; fi
    sleep 0.05
done
[ $up = 1 ] || { echo "error: docker-registry does not start:" >&2; cat "$work/registry.log" >&2; exit 2; }
host="127.0.0.1:$port"

# --- the input: a real static program of about 40 MB ---------------------------------------------------------------
if [ -z "$binary" ]; then
    # Static Go programs, one with the code of others behind it, which compresses as a larger program does.
    binary="$work/program"
    cat "$peers/registry" "$peers/crane" "$peers/registry" 2> /dev/null | head -c $(( 40 << 20 )) > "$binary" || true
fi
# fresh N: the program with a tail of its own, so that no tool finds its layer in a cache or in the registry.
fresh() {
    cp "$binary" "$work/app"
    printf 'run %s %s' "$1" "$RANDOM$RANDOM" >> "$work/app"
    chmod 0755 "$work/app"
}

static=1
"$coracle" plan "$binary" > /dev/null 2>&1 || static=0
[ $static = 1 ] || { echo "error: \`$binary\` is not a static program; name one with --binary" >&2; exit 1; }

run_coracle() { "$coracle" build "$work/app" --name app --push --tag "$host/coracle:$1" --quiet --no-cache; }
run_coracle_zstd() { "$coracle" build "$work/app" --name app --push --tag "$host/zstd:$1" --compression zstd --quiet --no-cache; }
run_umoci() {
    rm -rf "$work/layout"
    umoci init --layout "$work/layout" && umoci new --image "$work/layout:v" \
        && umoci insert --image "$work/layout:v" "$work/app" /app/app \
        && umoci config --image "$work/layout:v" --config.entrypoint /app/app \
        && skopeo copy --quiet --dest-tls-verify=false "oci:$work/layout:v" "docker://$host/umoci:$1"
}
run_buildah() {
    local c
    c=$(buildah --storage-driver vfs --root "$work/containers" --runroot "$work/run" from scratch) \
        && buildah --storage-driver vfs --root "$work/containers" --runroot "$work/run" copy --quiet "$c" "$work/app" /app/app \
        && buildah --storage-driver vfs --root "$work/containers" --runroot "$work/run" config --entrypoint '["/app/app"]' "$c" \
        && buildah --storage-driver vfs --root "$work/containers" --runroot "$work/run" commit --quiet --disable-compression=false \
            --tls-verify=false "$c" "docker://$host/buildah:$1"
}
run_crane() {
    rm -rf "$work/tree" && mkdir -p "$work/tree/app" && cp "$work/app" "$work/tree/app/app" \
        && tar -C "$work/tree" -cf "$work/layer.tar" app \
        && crane append --insecure --oci-empty-base -f "$work/layer.tar" -t "$host/crane:$1"
}

present() { # the tools that can run here
    echo coracle
    echo coracle_zstd
    if command -v umoci > /dev/null && command -v skopeo > /dev/null; then echo umoci; else echo "absent: umoci, skopeo" >&2; fi
    if command -v buildah > /dev/null; then echo buildah; else echo "absent: buildah" >&2; fi
    if command -v crane > /dev/null; then echo crane; else echo "absent: crane" >&2; fi
}
tools=$(present)

milliseconds() { # run a command, its output to a log, print its wall time
    local begin end
    begin=$(date +%s%N)
    "$@" > "$work/out.log" 2>&1 || { echo "error: $* failed:" >&2; cat "$work/out.log" >&2; exit 2; }
    end=$(date +%s%N)
    echo $(( (end - begin) / 1000000 ))
}
median() { sort -n | awk '{ v[NR] = $1 } END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

printf '## cold build and push, %s bytes, %s runs, to docker-registry on loopback\n\n' "$(stat -c %s "$binary")" "$runs"
for n in $(seq "$runs"); do
    for tool in $(shuf -e $tools); do
        fresh "$n"
        milliseconds "run_$tool" "v$n" >> "$work/$tool.ms"
    done
done
base=$(median < "$work/coracle.ms")
printf '| tool | median ms | coracle / tool |\n|---|---|---|\n'
for tool in $tools; do
    m=$(median < "$work/$tool.ms")
    printf '| %s | %s | %s |\n' "$tool" "$m" "$(awk -v a="$base" -v b="$m" 'BEGIN { printf "%.2f", a / b }')"
done

printf '\n## nothing changed: build and push again\n\n'
fresh same
"$coracle" build "$work/app" --name app --push --tag "$host/same:v1" --quiet > /dev/null
sleep 3 # files younger than this are never trusted by their times
"$coracle" build "$work/app" --name app --push --tag "$host/same:v1" --quiet > /dev/null
for _ in $(seq $(( runs * 3 ))); do
    milliseconds "$coracle" build "$work/app" --name app --push --tag "$host/same:v1" --quiet >> "$work/same.ms"
done
printf 'coracle: %s ms (median of %s)\n' "$(median < "$work/same.ms")" "$(( runs * 3 ))"

[ $memory = 1 ] && [ -x /usr/bin/time ] || exit 0
printf '\n## peak memory\n\n| binary | build to a layout, KiB | push, KiB |\n|---|---|---|\n'
for mib in 1 100 1024; do
    # A small program with a tail of random bytes is a program still, and compresses as badly as can be.
    rustc -C target-feature=+crt-static -O -o "$work/big" examples/hello/hello.rs
    head -c $(( mib << 20 )) /dev/urandom >> "$work/big"
    /usr/bin/time -f %M -o "$work/build.kib" "$coracle" build "$work/big" --name big --output "oci:$work/big-$mib" --tag "localhost/big:v1" --quiet --no-cache > /dev/null
    /usr/bin/time -f %M -o "$work/push.kib" "$coracle" push "oci:$work/big-$mib" "$host/big:v$mib" --quiet > /dev/null
    printf '| %s MiB | %s | %s |\n' "$mib" "$(cat "$work/build.kib")" "$(cat "$work/push.kib")"
    rm -rf "$work/big-$mib"
done
