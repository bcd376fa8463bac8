#!/bin/sh
# Unpacks the Debian packages of scripts/foreign-root.txt, and what they depend on, for another architecture into a root:
#
#     scripts/foreign-root.sh ARCH [DIRECTORY]
#
# ARCH as Debian names it: arm64, armhf, ppc64el, riscv64, s390x (or any other of its release). The default directory is
# coracle/ARCH-root in the user's cache directory. CORACLE_DEBIAN_SUITE names the suite: bookworm, or trixie for riscv64,
# which is in no release before it. It needs apt-get and dpkg-deb, and for the cache of the loader root and qemu-user-static.
# Prints the directory of the root. tests/loader_foreign.rs compares every program of the roots in CORACLE_FOREIGN_ROOTS
# (separated by colons) with their own loaders.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/debs.sh"
arch=${1:?usage: foreign-root.sh ARCH [DIRECTORY]}
directory=${2:-${XDG_CACHE_HOME:-$HOME/.cache}/coracle/$arch-root}
suite=bookworm
[ "$arch" != riscv64 ] || suite=trixie
suite=${CORACLE_DEBIAN_SUITE:-$suite}
mkdir -p "$directory/root"
directory=$(cd "$directory" && pwd)
private_apt "$directory" "$arch" "$suite"
# The names are words without blanks.
# shellcheck disable=SC2046
fetch_with_dependencies "$directory" $(cat "$here/foreign-root.txt")
merged_usr "$directory/root"
unpack_debs "$directory" "$directory"/cache/archives/*.deb

case $arch in
    arm64) emulator=qemu-aarch64-static ;;
    armhf | armel) emulator=qemu-arm-static ;;
    ppc64el) emulator=qemu-ppc64le-static ;;
    amd64) emulator=qemu-x86_64-static ;;
    *) emulator=qemu-$arch-static ;;
esac
# The root's own ldconfig: each writes only the entries of its machine. It is a static program and needs no other file.
if [ "$(id -u)" = 0 ] && command -v "$emulator" > /dev/null; then
    "$emulator" "$directory/root/usr/sbin/ldconfig" -r "$directory/root" >&2 || true
else
    echo "no cache of the loader is made: that needs root and $emulator" >&2
fi
echo "$directory/root"
