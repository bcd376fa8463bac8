# Functions of the scripts that unpack Debian packages into a root; sourced by them, not run. Nothing of the machine's own
# apt is changed and no script of a package is run.

# private_apt DIRECTORY ARCH SUITE [KINDS]: an apt of its own for that architecture and suite, whose state, lists and
# packages lie below DIRECTORY. KINDS is `deb`, or `deb deb-src` for sources too. The archive is CORACLE_DEBIAN_MIRROR, else
# the first that the machine's own apt uses.
private_apt() {
    mkdir -p "$1/parts" "$1/state/lists/partial" "$1/cache/archives/partial"
    : > "$1/state/status"
    mirror=${CORACLE_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(CREATED_BY) $(COMPONENT) $(RELEASE) $(REPO_URI)' \
        | awk '$1 == "Packages" && $2 == "main" && $3 !~ /-/ { print $4; exit }')}
    if [ -z "$mirror" ]; then
        echo "error: apt knows no archive; name one in CORACLE_DEBIAN_MIRROR" >&2
        return 2
    fi
    for kind in ${4:-deb}; do
        echo "$kind [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $3 main"
    done > "$1/sources.list"
    {
        # The way to the archive is the machine's; its other settings may run programs after an update.
        apt-config dump Acquire | grep -iE '^Acquire::(https?::|ftp::|Retries)' || true
        cat <<CONF
Dir::Etc::Parts "$1/parts";
Dir::Etc::Main "/dev/null";
Dir::Etc::SourceList "$1/sources.list";
Dir::Etc::SourceParts "$1/parts";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "$1/parts";
Dir::State "$1/state";
Dir::State::status "$1/state/status";
Dir::Cache "$1/cache";
APT::Architecture "$2";
APT::Architectures { "$2"; };
APT::Sandbox::User "";
Acquire::Languages "none";
CONF
    } > "$1/apt.conf"
    APT_CONFIG=$1/apt.conf apt-get -q update >&2
}

# fetch_with_dependencies DIRECTORY NAME...: the packages and what they depend on, by the apt that lies in DIRECTORY.
fetch_with_dependencies() {
    private=$1
    shift
    APT_CONFIG=$private/apt.conf apt-get -q -y --download-only --no-install-recommends install "$@" >&2
}

# merged_usr ROOT: the links that Debian's roots have had since the merge of /usr.
merged_usr() {
    for name in bin sbin lib lib32 lib64 libx32; do
        mkdir -p "$1/usr/$name"
        [ -e "$1/$name" ] || ln -s "usr/$name" "$1/$name"
    done
}

# unpack_debs DIRECTORY FILE...: into DIRECTORY/root, each file once, with the database that dpkg would keep of them.
unpack_debs() {
    unpack_in=$1
    shift
    info=$unpack_in/root/var/lib/dpkg/info
    mkdir -p "$info" "$unpack_in/root/var/lib/dpkg/updates" "$unpack_in/stanzas"
    echo 1 > "$info/format"
    for package in "$@"; do
        [ -e "$package.done" ] && [ -e "$package.known" ] && continue
        # As dpkg does and `dpkg-deb -x` does not: into the directory that a link names, instead of in its place.
        [ -e "$package.done" ] ||
            dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink --no-same-owner -C "$unpack_in/root"
        : > "$package.done"
        "$here/debian-root-database.sh" "$package" "$unpack_in/root" "$unpack_in/stanzas"
        : > "$package.known"
    done
    cat "$unpack_in"/stanzas/* > "$unpack_in/root/var/lib/dpkg/status"
    : > "$unpack_in/root/var/lib/dpkg/available"
}
