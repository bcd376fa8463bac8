#!/bin/sh
# Unpacks the Debian packages of scripts/debian-root.txt into a root, without running any of their scripts, and writes the
# package database that dpkg would have written (`dpkg --root=DIRECTORY -S PATH` and `-V` read it):
#
#     scripts/debian-root.sh [DIRECTORY]
#
# The default is coracle/debian-root in the user's cache directory. It needs apt-get and dpkg-deb (any Debian), and root
# only for the cache of the loader; what is there already is not downloaded again. Prints the directory of the root.
# tests/loader_differential.rs compares every program of CORACLE_DEBIAN_ROOT with that root's own loader.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/debs.sh"
directory=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/coracle/debian-root}
mkdir -p "$directory/packages" "$directory/root"
# The machine's own apt would prefer versions that it has from elsewhere, and no archive may have those any more.
private_apt "$directory/apt" amd64 "${CORACLE_DEBIAN_SUITE:-bookworm}"
cd "$directory/packages"
APT_CONFIG=$directory/apt/apt.conf xargs -n 50 apt-get -q download < "$here/debian-root.txt" >&2
merged_usr "$directory/root"
unpack_debs "$directory" *.deb
if [ "$(id -u)" = 0 ]; then
    ldconfig -r "$directory/root" >&2 || true
fi
echo "$directory/root"
