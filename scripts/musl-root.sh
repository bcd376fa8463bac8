#!/usr/bin/env bash
# Assembles a root laid out as Alpine's, of real programs and libraries that speak musl:
#
#     scripts/musl-root.sh [x86_64|aarch64 [DIRECTORY]]
#
# The default directory is coracle/musl-ARCH-root in the user's cache directory. The pieces are in scripts/musl-root.txt:
# wheels and npm packages that were built on Alpine, and sources of Debian that are compiled here with its musl. Each piece
# stands in /lib/apk/db/installed with its files, as a package of Alpine would. It needs pip, npm, apt-get, dpkg-deb, and gcc
# (for aarch64 gcc-aarch64-linux-gnu). What is there already is neither downloaded nor built again. Prints the directory of
# the root. tests/loader_differential.rs compares every program of CORACLE_FOREIGN_ROOTS with the root's own loader.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/debs.sh"
arch=${1:-x86_64}
case $arch in
    x86_64) node=x64 debian=amd64 ;;
    aarch64) node=arm64 debian=arm64 ;;
    *) echo "error: no musl root for \`$arch\`: x86_64 or aarch64" >&2; exit 1 ;;
esac
directory=${2:-${XDG_CACHE_HOME:-$HOME/.cache}/coracle/musl-$arch-root}
mkdir -p "$directory"/{downloads,pieces,sources}
directory=$(cd "$directory" && pwd)
pieces=$directory/pieces
say() { printf '%s\n' "$*" >&2; }

# Each piece is a tree of its own, and done when it stands under its name.
have() { [ -e "$pieces/$1" ]; }
begin() { rm -rf "$directory/new" && mkdir -p "$directory/new"; }
finish() { mv "$directory/new" "$pieces/$1"; }

wheel() { # NAME VERSION
    have "py3-$1=$2" && return
    say "wheel $1 $2"
    begin
    pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
        --abi cp312 --abi abi3 --abi none --platform "musllinux_1_2_$arch" --platform "musllinux_1_1_$arch" \
        -d "$directory/downloads/$1" "$1==$2" >&2
    local site=$directory/new/usr/lib/python3.12/site-packages
    mkdir -p "$site"
    python3 -m zipfile -e "$directory/downloads/$1"/*.whl "$site"
    # As pip does: programs of a wheel go to /usr/bin, and modes are not kept by this unpacking.
    local scripts
    for scripts in "$site"/*.data/scripts; do
        [ -d "$scripts" ] || continue
        mkdir -p "$directory/new/usr/bin"
        chmod 0755 "$scripts"/*
        mv "$scripts"/* "$directory/new/usr/bin/"
    done
    finish "py3-$1=$2"
}

npm_package() { # NAME VERSION
    local name=${1//ARCH/$node} file
    local piece=${name#@}
    piece=npm-${piece//\//-}=$2
    have "$piece" && return
    say "npm $name $2"
    begin
    file=$(cd "$directory/downloads" && npm pack --silent "$name@$2" | tail -n 1)
    local to=$directory/new/usr/lib/node_modules/$name
    mkdir -p "$to"
    tar -x --strip-components=1 --no-same-owner -C "$to" -f "$directory/downloads/$file"
    finish "$piece"
}

# musl's loader and libc as Alpine lays them out; its headers and start files stay outside of the root.
musl() {
    compgen -G "$pieces/musl=*" > /dev/null && return
    begin
    (cd "$directory/downloads" && APT_CONFIG=$directory/apt.conf apt-get -q download musl musl-dev >&2)
    local package
    for package in "$directory"/downloads/musl*.deb; do dpkg-deb -x "$package" "$directory/musl"; done
    mkdir -p "$directory/new/lib" "$directory/new/etc"
    cp "$directory"/musl/lib/*-linux-musl/libc.so "$directory/new/lib/ld-musl-$arch.so.1"
    ln -s "ld-musl-$arch.so.1" "$directory/new/lib/libc.musl-$arch.so.1"
    # The package is `musl_VERSION-REVISION_ARCH.deb`.
    package=$(cd "$directory/downloads" && echo musl_*.deb)
    package=${package#musl_}
    finish "musl=${package%%-*}"
}

# A compiler for it, in the way of musl-gcc. The shared libc lies elsewhere than the static one, and must be found before it: a
# program with a libc of its own beside the loader's crashes.
compiler() {
    local tree=$directory/musl/usr lib gcc=$arch-linux-gnu-gcc
    lib=$tree/lib/$arch-linux-musl
    [ -x "$(command -v "$gcc")" ] || gcc=gcc
    [ "$gcc" != gcc ] || [ "$(uname -m)" = "$arch" ] || { say "error: $arch-linux-gnu-gcc is absent"; exit 2; }
    cat > "$directory/musl.specs" <<SPECS
%rename cpp_options old_cpp_options

*cpp_options:
-nostdinc -isystem $tree/include/$arch-linux-musl -isystem include%s %(old_cpp_options)

*cc1:
%(cc1_cpu) -nostdinc -isystem $tree/include/$arch-linux-musl -isystem include%s

*link_libgcc:
-L$directory/musl/lib/$arch-linux-musl -L$lib -L .%s

*libgcc:
libgcc.a%s %:if-exists(libgcc_eh.a%s)

*startfile:
%{!shared: $lib/Scrt1.o} $lib/crti.o crtbeginS.o%s

*endfile:
crtendS.o%s $lib/crtn.o

*link:
-dynamic-linker /lib/ld-musl-$arch.so.1 -nostdlib %{shared:-shared} %{static:-static} %{rdynamic:-export-dynamic}

SPECS
    printf '#!/bin/sh\nexec %s "$@" -specs %s\n' "$gcc" "$directory/musl.specs" > "$directory/musl-cc"
    chmod 0755 "$directory/musl-cc"
}

source_package() { # NAME VERSION
    local name=$1
    have "$name=$2" && return
    say "source $name $2"
    begin
    (cd "$directory/downloads" && APT_CONFIG=$directory/apt.conf apt-get -q --download-only source "$name" >&2)
    rm -rf "$directory/sources/$name" && mkdir -p "$directory/sources/$name"
    tar -x --strip-components=1 -C "$directory/sources/$name" -f "$(find "$directory/downloads" -name "${name}_$2*.orig.tar.*" ! -name "*.asc")"
    set +e
    (
        set -e
        cd "$directory/sources/$name"
        export CC="$directory/musl-cc" DESTDIR="$directory/new" CFLAGS="-O2 -fPIC" AR=ar RANLIB=ranlib
        # What a built piece needs of the others.
        local zlib=("$pieces"/zlib=*)
        export CPPFLAGS="-I${zlib[0]}/usr/include" LDFLAGS="-L${zlib[0]}/lib"
        "build_${name//[^a-z]/}"
    ) > "$directory/sources/$name.log" 2>&1
    local status=$?
    set -e
    [ $status = 0 ] || { tail -n 20 "$directory/sources/$name.log" >&2; exit 2; }
    finish "$name=$2"
}

configured() { ./configure --host="$arch-linux-musl" --disable-static "$@" && make && make install; }
build_zlib() { CHOST=$arch-linux-musl ./configure --prefix=/usr --libdir=/lib && make && make install; }
build_xzutils() { configured --prefix=/usr --disable-nls --disable-scripts --disable-doc; }
# Beside its own libraries, which only $ORIGIN reaches.
build_libpng() { LDFLAGS="$LDFLAGS -Wl,-rpath,\\\$\$ORIGIN/../lib -Wl,--enable-new-dtags" configured --prefix=/opt/png; }
build_dash() {
    [ -x configure ] || ./autogen.sh
    CC_FOR_BUILD=gcc ./configure --host="$arch-linux-musl" --prefix=/usr --exec-prefix= && make && make install
    mkdir -p "$DESTDIR/bin" && ln -s dash "$DESTDIR/bin/sh"
}
build_bzip() {
    make -f Makefile-libbz2_so CC="$CC" CFLAGS="-fPIC -O2"
    mkdir -p "$DESTDIR/usr/lib" "$DESTDIR/usr/bin"
    cp libbz2.so.1.0.* "$DESTDIR/usr/lib/"
    (cd "$DESTDIR/usr/lib" && for file in libbz2.so.1.0.*; do ln -s "$file" libbz2.so.1.0; done)
    cp bzip2-shared "$DESTDIR/usr/bin/bzip2"
}
# Where a user puts what no package brings: /usr/local, and one program with the older kind of search path.
build_lua() {
    mkdir -p "$DESTDIR/usr/local/lib" "$DESTDIR/usr/local/bin" "$DESTDIR/opt/lua/bin" "$DESTDIR/opt/lua/lib"
    cd src
    local objects
    objects=$(ls ./*.c | grep -v -e '/lua\.c' -e '/luac\.c')
    local options="$CFLAGS -DLUA_USE_POSIX -DLUA_USE_DLOPEN"
    # shellcheck disable=SC2086
    $CC $options -shared -Wl,-soname,liblua.so.5 $objects -o "$DESTDIR/usr/local/lib/liblua.so.5" -lm
    # shellcheck disable=SC2086
    $CC $options lua.c -o "$DESTDIR/usr/local/bin/lua" -L"$DESTDIR/usr/local/lib" -l:liblua.so.5
    # shellcheck disable=SC2086
    $CC $options -shared -Wl,-soname,libprivate.so $objects -o "$DESTDIR/opt/lua/lib/libprivate.so" -lm
    # shellcheck disable=SC2086
    $CC $options lua.c -o "$DESTDIR/opt/lua/bin/lua" -L"$DESTDIR/opt/lua/lib" -l:libprivate.so \
        -Wl,--disable-new-dtags,-rpath,'$ORIGIN/../lib'
}

# The runtime libraries of gcc, which packages of npm expect from the system: those that a wheel carries, by their own names.
gcc_runtime() {
    have libgcc=1 && return
    begin
    mkdir -p "$directory/new/usr/lib"
    local name file
    for name in libgcc_s libstdc++; do
        file=$(find "$pieces"/py3-* -name "$name-*.so.*" | sort | sed -n 1p)
        cp "$file" "$directory/new/usr/lib/"
        ln -s "${file##*/}" "$directory/new/usr/lib/$name.so.${file##*.so.}"
    done
    finish libgcc=1
}

private_apt "$directory" "$debian" bookworm "deb deb-src"
musl
compiler
while read -r kind name version; do
    case $kind in
        wheel) wheel "$name" "$version" ;;
        npm) npm_package "$name" "$version" ;;
        source) source_package "$name" "$version" ;;
    esac
done < "$here/musl-root.txt"
gcc_runtime

rm -rf "$directory/root" && mkdir -p "$directory/root"/{etc,lib/apk/db,tmp,proc,dev,usr/lib,usr/bin}
for piece in "$pieces"/*; do cp -a --reflink=auto "$piece/." "$directory/root/"; done
# An installer of wheels keeps the modes that this unpacking loses.
find "$directory/root/usr/lib/python3.12" -path '*/bin/*' -type f -exec chmod 0755 {} +
printf '3.20.0\n' > "$directory/root/etc/alpine-release"
printf 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.20.0\nPRETTY_NAME="Alpine Linux v3.20"\n' > "$directory/root/etc/os-release"
printf '%s\n' "$arch" > "$directory/root/etc/apk-arch"
python3 "$here/musl-root-db.py" "$arch" "$pieces" > "$directory/root/lib/apk/db/installed"
echo "$directory/root"
