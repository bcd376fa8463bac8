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
directory=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/coracle/debian-root}
mkdir -p "$directory/packages" "$directory/root"
cd "$directory/packages"
if [ "$(id -u)" = 0 ]; then
    # Else apt-get drops to a user that may not write here, and says so for every package.
    sandbox="-o APT::Sandbox::User=root"
fi
xargs -n 50 apt-get ${sandbox:-} -q download < "$here/debian-root.txt" >&2
# Directories that are links since the merge of /usr.
for name in bin sbin lib lib32 lib64 libx32; do
    mkdir -p "$directory/root/usr/$name"
    [ -e "$directory/root/$name" ] || ln -s "usr/$name" "$directory/root/$name"
done
info="$directory/root/var/lib/dpkg/info"
mkdir -p "$info" "$directory/root/var/lib/dpkg/updates" "$directory/stanzas"
echo 1 > "$info/format"
for package in *.deb; do
    [ -e "$package.done" ] && [ -e "$package.known" ] && continue
    # As dpkg does and `dpkg-deb -x` does not: into the directory that a link names, instead of in its place.
    [ -e "$package.done" ] ||
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink --no-same-owner -C "$directory/root"
    : > "$package.done"
    "$here/debian-root-database.sh" "$package" "$directory/root" "$directory/stanzas"
    : > "$package.known"
done
cat "$directory"/stanzas/* > "$directory/root/var/lib/dpkg/status"
: > "$directory/root/var/lib/dpkg/available"
if [ "$(id -u)" = 0 ]; then
    ldconfig -r "$directory/root" >&2 || true
fi
echo "$directory/root"
