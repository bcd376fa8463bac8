#!/bin/sh
# Writes what dpkg notes of one unpacked, not yet configured package (dpkg(1), deb-md5sums(5), deb-conffiles(5)):
#
#     scripts/debian-root-database.sh PACKAGE.deb ROOT STANZAS
#
# The lists go to /var/lib/dpkg/info of ROOT, the stanza of its status file to the directory STANZAS.
set -eu
package=$1
root=$2
info=$root/var/lib/dpkg/info
stanzas=$3
name=$(dpkg-deb --field "$package" Package)
architecture=$(dpkg-deb --field "$package" Architecture)
key=$name
# Packages of which several architectures may be installed at once have it in the names of their files.
[ "$(dpkg-deb --field "$package" Multi-Arch)" = same ] && key="$name:$architecture"
control=$(mktemp -d)
trap 'rm -rf "$control"' EXIT
dpkg-deb --control "$package" "$control"
for file in "$control"/*; do
    case ${file##*/} in
        control) ;;
        *) cp "$file" "$info/$key.${file##*/}" ;;
    esac
done
# `./usr/bin/` of the archive is `/usr/bin` in the list, the root itself `/.`.
dpkg-deb --fsys-tarfile "$package" | tar -t --quoting-style=literal |
    sed -e 's,^\./$,/.,' -e 's,^\./,/,' -e 's,^\([^/]\),/\1,' -e 's,\(.\)/$,\1,' > "$info/$key.list"
{
    sed -e '/^$/d' -e 's/^Package:.*/&\nStatus: install ok unpacked/' "$control/control"
    if [ -s "$control/conffiles" ]; then
        # The unpacked files are in place already, as dpkg puts them when it configures the package.
        echo "Conffiles:"
        sed -n -e 's,^/,,p' "$control/conffiles" | while read -r file; do
            echo " /$file $(md5sum < "$root/$file" | cut -c 1-32)"
        done
    fi
    echo
} > "$stanzas/$name:$architecture"
