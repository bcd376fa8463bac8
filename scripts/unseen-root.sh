#!/bin/sh
# Unpacks ten programs of Debian, of kinds that none of the rules was written for, and what they depend on, into a root:
#
#     scripts/unseen-root.sh [DIRECTORY]
#
# The default is coracle/unseen-root in the user's cache directory. The programs are in scripts/unseen-root.txt; what they
# open when they do a small job is in testdata/corpus/unseen.json (scripts/trace-cases.py writes it). It needs apt-get and
# dpkg-deb; with root it makes what scripts of the packages would have made: the cache of the loader, users and groups,
# nsswitch.conf, a bundle of certificates, the database of MIME types. Prints the directory of the root.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/debs.sh"
directory=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/coracle/unseen-root}
mkdir -p "$directory/root"
directory=$(cd "$directory" && pwd)
root=$directory/root
private_apt "$directory" amd64 bookworm
# The names are words without blanks.
# shellcheck disable=SC2046
fetch_with_dependencies "$directory" $(cat "$here/unseen-root.txt")
merged_usr "$root"
unpack_debs "$directory" "$directory"/cache/archives/*.deb

cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
cp "$root/usr/share/libc-bin/nsswitch.conf" "$root/etc/nsswitch.conf"
find "$root/usr/share/ca-certificates" -name '*.crt' | sort | xargs cat > "$root/etc/ssl/certs/ca-certificates.crt"
if [ "$(id -u)" = 0 ]; then
    chroot "$root" /usr/sbin/ldconfig >&2
    chroot "$root" /usr/bin/update-mime-database /usr/share/mime >&2
    chroot "$root" /usr/lib/x86_64-linux-gnu/glib-2.0/glib-compile-schemas /usr/share/glib-2.0/schemas >&2 || true
fi
echo "$root"
