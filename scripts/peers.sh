#!/usr/bin/env bash
# Sets up the real programs that the test suite checks its work against: registries, image tools,
# runtimes, an emulator, cross compilers.
#
#   scripts/peers.sh base      registries, copy tools, runtimes, engines, the OCI conformance suite
#   scripts/peers.sh attest    peers for signatures and SBOMs
#   scripts/peers.sh kube      peers for Kubernetes
#
# Distribution packages come through apt-get (Debian, Ubuntu; needs root only if one is missing). Go
# programs are built outside the repository, in
# ${CORACLE_PEERS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/coracle/peers}, with the binaries in its bin/.
# No daemon is started. Running it again does nothing when all is in place.
#
# stdout: one line per peer (name, version, path), last a line for `eval`. Progress goes to stderr.
set -euo pipefail

readonly CRANE_VERSION=v0.22.1
readonly REGISTRY_VERSION=v3.1.2
readonly OLAREG_VERSION=v0.1.2
readonly ORAS_VERSION=v1.3.6
readonly REGCTL_VERSION=v0.11.7
# The suite has no release tags; this is the rewritten one (sha512, `OCI_VERSION=1.1` or `dev`).
readonly CONFORMANCE_VERSION=v0.0.0-20260831232431-97274622c111

# What must be there (a program, or a file by absolute path) and the package that brings it. A
# program that is there already, from wherever, is used as it is.
readonly PACKAGES='
docker-registry          docker-registry
skopeo                   skopeo
umoci                    umoci
runc                     runc
containerd               containerd
ctr                      containerd
dockerd                  docker.io
podman                   podman
conmon                   conmon
buildah                  buildah
qemu-aarch64-static      qemu-user-static
busybox                  busybox-static
musl-gcc                 musl-tools
aarch64-linux-gnu-gcc    gcc-aarch64-linux-gnu
/usr/aarch64-linux-gnu/include/stdio.h libc6-dev-arm64-cross
htpasswd                 apache2-utils
nginx                    nginx-light
openssl                  openssl
strace                   strace
hyperfine                hyperfine
libtree                  libtree
lddtree                  pax-utils
checksec                 checksec
dot                      graphviz
/usr/lib/python3/dist-packages/jsonschema python3-jsonschema
'

say() { printf '%s\n' "$*" >&2; }
die() { say "peers.sh: $*"; exit 1; }
row() { printf '%-22s %-40s %s\n' "$1" "$2" "$3"; }

# find_peer NAME: path of a program or file; daemons and runtimes live in sbin, which a user's PATH may lack
find_peer() {
    case $1 in
        /*) [ -e "$1" ] && echo "$1" ;;
        *) PATH="$PATH:/usr/sbin:/sbin" command -v "$1" ;;
    esac
}

apt() {
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 "$@" >&2
}

# Lists that are absent or older than a day no longer match what the archive serves.
refresh_lists() {
    local fresh
    fresh=$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -mmin -1440 -print -quit 2>/dev/null || true)
    [ -n "$fresh" ] || apt update
}

# A package's service must not start here: without a policy of the machine's own, deny it while we install.
POLICY=
drop_policy() { if [ -n "$POLICY" ]; then rm -f "$POLICY"; fi; }
deny_services() {
    [ ! -e /usr/sbin/policy-rc.d ] || return 0
    POLICY=/usr/sbin/policy-rc.d
    trap drop_policy EXIT
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
}

install_packages() {
    local probe package missing=()
    while read -r probe package; do
        [ -n "$probe" ] || continue
        find_peer "$probe" >/dev/null || missing+=("$package")
    done <<<"$PACKAGES"
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "no apt-get here; install by hand what brings: ${missing[*]}"
    [ "$(id -u)" -eq 0 ] || die "not root; run: apt-get install --no-install-recommends ${missing[*]}"
    say "installing packages: ${missing[*]}"
    deny_services
    refresh_lists
    apt install -y --no-install-recommends "${missing[@]}" || {
        apt update
        apt install -y --no-install-recommends "${missing[@]}"
    }
    drop_policy
    POLICY=
}

report_packages() {
    local probe package path name versions
    versions=$(dpkg-query -W -f '${Package} ${Version}\n' 2>/dev/null || true)
    while read -r probe package; do
        [ -n "$probe" ] || continue
        path=$(find_peer "$probe") || die "\`$probe\` is still missing after the install of $package"
        name=$probe
        if [ "${probe#/}" != "$probe" ]; then name=$package; fi
        row "$name" "$(awk -v p="$package" '$1 == p { v = $2 } END { print v ? v : "not-packaged" }' <<<"$versions")" "$path"
    done <<<"$PACKAGES"
}

# current NAME VERSION: true if the binary was built from that version
current() { [ -x "$DIR/bin/$1" ] && [ "$(cat "$DIR/stamps/$1" 2>/dev/null)" = "$2" ]; }
stamp() { printf '%s\n' "$2" >"$DIR/stamps/$1"; }

# go_install NAME PACKAGE VERSION: builds a main package of a module straight from the module proxy
go_install() {
    current "$1" "$3" && return 0
    say "building $1 $3"
    GOBIN="$DIR/tmp" CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' "$2@$3" >&2
    mv -f "$DIR/tmp/${2##*/}" "$DIR/bin/$1"
    stamp "$1" "$3"
}

# go_build NAME MODULE PACKAGE VERSION: as go_install, through a module of our own, for modules of which the proxy serves the
# version but not the list of versions, which `go install PACKAGE@VERSION` asks for
go_build() {
    local src="$DIR/src/$1"
    current "$1" "$4" && return 0
    say "building $1 $4"
    rm -rf "$src"
    mkdir -p "$src"
    printf 'module peers.invalid/%s\n\ngo 1.21\n\nrequire %s %s\n' "$1" "$2" "$4" >"$src/go.mod"
    (cd "$src" && GOBIN="$DIR/tmp" CGO_ENABLED=0 go install -mod=mod -trimpath -ldflags '-s -w' "$3") >&2
    mv -f "$DIR/tmp/${3##*/}" "$DIR/bin/$1"
    stamp "$1" "$4"
}

# The registry with local storage only. Its own main package also links the drivers of three clouds,
# which makes the build three times as long and adds nothing that a test here can reach.
build_registry() {
    local module=github.com/distribution/distribution/v3 version=$1 src="$DIR/src/registry" parts part wanted=()
    current registry "$version" && return 0
    say "building registry $version"
    parts='registry registry/auth/htpasswd registry/auth/token registry/proxy
        registry/storage/driver/filesystem registry/storage/driver/inmemory'
    rm -rf "$src"
    mkdir -p "$src"
    {
        printf 'package main\n\nimport (\n'
        for part in $parts; do
            [ "$part" = registry ] || printf '\t_ "%s/%s"\n' "$module" "$part"
        done
        printf '\t"%s/registry"\n)\n\nfunc main() { _ = registry.RootCmd.Execute() }\n' "$module"
    } >"$src/main.go"
    for part in $parts; do wanted+=("$module/$part@$version"); done
    (
        cd "$src"
        go mod init peers.invalid/registry
        go get "${wanted[@]}" 2>&1 | { grep -v "^go: added" || true; }
        CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X $module/version.version=$version" -o "$DIR/tmp/registry" .
    ) >&2
    mv -f "$DIR/tmp/registry" "$DIR/bin/registry"
    stamp registry "$version"
}

build_go_peers() {
    if ! command -v go >/dev/null; then
        say 'no go here: crane, olareg, oras, regctl, registry v3 and the conformance suite are left out'
        return 0
    fi
    go_install crane github.com/google/go-containerregistry/cmd/crane "$CRANE_VERSION"
    go_install conformance github.com/opencontainers/distribution-spec/conformance "$CONFORMANCE_VERSION"
    go_build olareg github.com/olareg/olareg github.com/olareg/olareg/cmd/olareg "$OLAREG_VERSION"
    go_install oras oras.land/oras/cmd/oras "$ORAS_VERSION"
    go_install regctl github.com/regclient/regclient/cmd/regctl "$REGCTL_VERSION"
    build_registry "$REGISTRY_VERSION"
}

report_go_peers() {
    local name
    for name in crane registry conformance olareg oras regctl; do
        [ -x "$DIR/bin/$name" ] || continue
        row "$name" "$(cat "$DIR/stamps/$name")" "$DIR/bin/$name"
    done
}

# Static Rust fixtures use it where it can be had; asked for once, as a refusal does not change by asking again.
add_musl_target() {
    local target=x86_64-unknown-linux-musl lib
    command -v rustc >/dev/null || return 0
    lib="$(rustc --print sysroot)/lib/rustlib/$target"
    if [ ! -d "$lib" ] && command -v rustup >/dev/null && [ ! -e "$DIR/stamps/$target-refused" ]; then
        timeout 120 rustup target add "$target" >&2 || : >"$DIR/stamps/$target-refused"
    fi
    if [ -d "$lib" ]; then row rust-musl "$(rustc --version | cut -d' ' -f2)" "$lib"; fi
}

base() {
    install_packages
    build_go_peers
    report_packages
    report_go_peers
    add_musl_target
    printf 'export PATH="%s/bin:%s:/usr/sbin:/sbin"\n' "$DIR" "\$PATH"
}

main() {
    [ "$#" -eq 1 ] || die 'usage: peers.sh base|attest|kube'
    case $1 in
        base) ;;
        attest | kube) echo "$1: no peers in this tier yet"; return 0 ;;
        *) die "no tier \`$1\`; usage: peers.sh base|attest|kube" ;;
    esac
    DIR=${CORACLE_PEERS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/coracle/peers}
    mkdir -p "$DIR/bin" "$DIR/stamps" "$DIR/src" "$DIR/tmp"
    DIR=$(cd "$DIR" && pwd)
    # Two runs at once would race for the same files.
    exec 9>"$DIR/.lock"
    flock 9
    "$1"
}

main "$@"
