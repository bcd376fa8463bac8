//! Every bound on foreign input, named, with its reason. Parsers take their bounds from here and nowhere else.

use std::time::Duration;

/// Largest manifest or index read, in bytes. The distribution-spec asks registries to take at least 4 MiB; twice that
/// is what lenient clients read.
pub const MAX_MANIFEST_BYTES: u64 = 8 << 20;

/// Largest image config read, in bytes. Configs with long histories reach some hundred KiB.
pub const MAX_CONFIG_BYTES: u64 = 8 << 20;

/// Longest tag (distribution-spec: 128 characters).
pub const MAX_TAG_BYTES: usize = 128;

/// Longest repository name: registries built on distribution cut at 255.
pub const MAX_REPOSITORY_BYTES: usize = 255;

/// Longest path inside an image, in bytes: `PATH_MAX` of Linux, beyond which no runtime can open it.
pub const MAX_PATH_BYTES: usize = 4096;

/// Largest pax header, in bytes: the Linux limits of extended attributes (64 KiB a value and a list of names) and two
/// paths fit several times over. Go's reader takes 1 MiB too.
pub const MAX_TAR_PAX_BYTES: u64 = 1 << 20;

/// Longest name in a GNU long name header, in bytes: [`MAX_PATH_BYTES`] and its NUL, padded to a block.
pub const MAX_TAR_LONG_NAME_BYTES: u64 = 4608;

/// Most entries of one layer's tar. Large images have some hundred thousand files.
pub const MAX_TAR_ENTRIES: u64 = 8 << 20;

/// Most headers (pax, GNU long name) in front of one entry; real archives have at most four.
pub const MAX_TAR_EXTRA_HEADERS: usize = 16;

/// Most segments of a sparse file in a tar. A map of that length takes 1 MiB.
pub const MAX_SPARSE_SEGMENTS: usize = 64 << 10;

/// Most bytes a layer unpacks to, and the largest sparse file: 1 TiB, more than any node has for images. A deflate bomb of
/// 1 GiB reaches it.
pub const MAX_LAYER_BYTES: u64 = 1 << 40;

/// Largest window that a zstd frame may ask for, as a power of two: 128 MiB, as the `zstd` tool takes without a flag.
pub const MAX_ZSTD_WINDOW_LOG: u32 = 27;

/// Most files and directories in one added tree: a million, which is ten times a large `node_modules` and keeps what
/// the plan holds in memory below some hundred MiB.
pub const MAX_TREE_ENTRIES: usize = 1_000_000;

/// Most files and directories of all layers of an image that is a root: as in an added tree, some hundred MiB of memory.
pub const MAX_ROOT_NODES: usize = 1 << 20;

/// Most bytes of names, link targets and maps of sparse files of an image that is a root: 256 for each node.
pub const MAX_ROOT_TEXT_BYTES: usize = 256 << 20;

/// Most bytes that all layers of an image that is a root unpack to: images with drivers and models reach some ten GiB.
pub const MAX_ROOT_UNPACKED_BYTES: u64 = 64 << 30;

/// Most exclude patterns: each is compiled to an automaton of some KiB.
pub const MAX_EXCLUDES: usize = 1024;

/// Most symbolic links followed in one path: the kernel's `MAXSYMLINKS` (path_resolution(7)).
pub const MAX_SYMLINKS: usize = 40;

/// Largest generated file whose content stands in the plan's text; beyond it the digest must do.
pub const MAX_INLINE_CONTENT_BYTES: u64 = 16 << 10;

/// Largest text form of a plan read, in bytes: a plan travels with an image, so it is foreign. A line has some 200
/// bytes, which makes room for 80,000 files.
pub const MAX_PLAN_TEXT_BYTES: usize = 16 << 20;

/// Bytes of a `coracle.lock`: a line of 200 bytes for each of 40,000 needs, more than any system has packages.
pub const MAX_LOCK_BYTES: usize = 8 << 20;

/// Largest `coracle.yaml` read, in bytes; written by hand, it has some KiB.
pub const MAX_CONFIG_FILE_BYTES: u64 = 256 << 10;

/// Deepest nesting of a `coracle.yaml`; its own types need four levels.
pub const MAX_CONFIG_FILE_DEPTH: usize = 16;

/// Most nodes of a `coracle.yaml`, after aliases are expanded.
pub const MAX_CONFIG_FILE_NODES: usize = 50_000;

/// Deepest nesting of indexes followed: an index of a layout's index of a list is already rare.
pub const MAX_INDEX_DEPTH: usize = 4;

/// Most manifests below one root: the largest public lists have some dozens, an index of 8 MiB could hold 40 000.
pub const MAX_INDEX_CHILDREN: usize = 1024;

/// Most members of an archive that are indexed: `docker save` of hundreds of images stays below 10 000.
pub const MAX_ARCHIVE_MEMBERS: usize = 100_000;

/// Longest answer read from a daemon in bytes; progress of a load is some KiB per layer.
pub const MAX_DAEMON_ANSWER_BYTES: usize = 4 << 20;

/// Largest record of the build cache read, in bytes: a record of 100 000 files has about 15 MiB.
pub const MAX_CACHE_RECORD_BYTES: u64 = 64 << 20;

/// Largest table of program headers, in bytes: Linux refuses to start a program whose table is larger (`load_elf_phdrs`).
pub const MAX_PROGRAM_HEADER_BYTES: u64 = 64 << 10;

/// Most entries of an ELF dynamic section. The largest seen have some hundred (one `DT_NEEDED` per library).
pub const MAX_DYNAMIC_ENTRIES: usize = 4096;

/// Longest single name in an ELF string table (library, search path), in bytes: `PATH_MAX` of Linux.
pub const MAX_ELF_NAME_BYTES: usize = 4096;

/// All names of one dynamic section together, in bytes, so that overlapping strings cannot multiply.
pub const MAX_ELF_NAMES_TOTAL_BYTES: usize = 1 << 20;

/// Largest note segment read, in bytes. Real ones have some hundred; `.note.package` and `.note.dlopen` a few thousand.
pub const MAX_NOTE_SEGMENT_BYTES: u64 = 256 << 10;

/// Most notes read from one file.
pub const MAX_NOTES: usize = 1024;

/// Most section headers looked at. Executables have less than a hundred; with more, sections count as unreadable.
pub const MAX_SECTIONS: usize = 4096;

/// Largest section read whole (`.comment`, `.ARM.attributes`), in bytes.
pub const MAX_SMALL_SECTION_BYTES: u64 = 64 << 10;

/// Largest Go module information read, in bytes. A program with a thousand dependencies has about 100 KiB.
pub const MAX_GO_BUILD_INFO_BYTES: u64 = 1 << 20;

/// How much of one file is searched for one set of marks of a toolchain, in bytes: enough for all but programs that embed
/// large data, and of those the two ends of the constants, where the marks of the program and of its libraries stand.
pub const MAX_ELF_SCAN_BYTES: u64 = 8 << 20;

/// How much is read at once while searching, in bytes: below the size from which allocators map each window anew.
pub const ELF_SCAN_WINDOW_BYTES: usize = 64 << 10;

/// How much of the beginning of a file tells what kind it is, in bytes.
pub const FILE_KIND_BYTES: usize = 512;

/// Manifests that the embedded registry sees in one repository: more than an `index.json` of the largest size can list.
pub const MAX_REPOSITORY_MANIFESTS: usize = 100_000;

/// Repositories that the embedded registry lists: a walk over a directory must end.
pub const MAX_REPOSITORIES: usize = 100_000;

/// Tags or repositories in one page of a list: some hundred KiB of JSON.
pub const SERVE_PAGE: usize = 10_000;

/// Bytes of JSON after which a page of referrers ends: what every client reads as an index (distribution-spec: 4 MiB).
pub const SERVE_REFERRERS_PAGE_BYTES: usize = 4 << 20;

/// Tags that one push by digest may set; the distribution-spec asks for ten.
pub const SERVE_TAGS_PER_PUSH: usize = 100;

/// Bytes of a request's head: long enough for [`SERVE_TAGS_PER_PUSH`] tags.
pub const SERVE_HEAD_BYTES: usize = 64 << 10;

/// Bytes of manifests in flight at a time in the embedded registry, so that many pushes stay within memory.
pub const SERVE_MANIFESTS_IN_FLIGHT_BYTES: u64 = 64 << 20;

/// Bytes of an unwanted body that are read so that the client sees the answer instead of a reset.
pub const SERVE_DRAIN_BYTES: u64 = 1 << 20;

/// Connections of the embedded registry: a page of builds, each with some parallel transfers of half a MiB of buffers.
pub const SERVE_CONNECTIONS: usize = 256;

/// Unfinished uploads of the embedded registry.
pub const SERVE_UPLOADS: usize = 1024;

/// Largest blob the embedded registry takes, in bytes: far above real layers, and a bound on a runaway client.
pub const SERVE_BLOB_BYTES: u64 = 64 << 30;

/// Bytes that the embedded registry keeps in memory storage.
pub const SERVE_MEMORY_BYTES: u64 = 512 << 20;

/// Time for the head of a request to arrive; also how long an idle connection is kept.
pub const SERVE_HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Time without progress after which a transfer is given up.
pub const SERVE_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Time without a request after which an unfinished upload is removed.
pub const SERVE_UPLOAD_LIFETIME: Duration = Duration::from_secs(3600);

/// Time for running requests to finish when the embedded registry stops.
pub const SERVE_GRACE: Duration = Duration::from_secs(10);

/// Most lines in the header of an HTTP answer: registries send some twenty.
pub const MAX_HEADER_LINES: usize = 128;

/// Most redirects followed for one request; a registry and its storage need one or two.
pub const MAX_REDIRECTS: usize = 5;

/// Most `Warning` headers told in one run, and most read of one answer.
pub const MAX_WARNINGS: usize = 32;

/// Longest text told of a `Warning` header, in characters; the distribution-spec asks clients to take 4096.
pub const MAX_WARNING_CHARS: usize = 4096;

/// Most of an error answer's body that is read; the distribution-spec sets no bound, proxies send whole pages.
pub const MAX_ERROR_BODY_BYTES: u64 = 64 << 10;

/// Most entries of a registry's error document that are shown.
pub const MAX_COMPLAINTS: usize = 8;

/// Longest message of a registry that is shown, in characters.
pub const MAX_COMPLAINT_CHARS: usize = 1024;

/// Longest `WWW-Authenticate` line that is read; real ones with many scopes reach some KiB.
pub const MAX_CHALLENGE_BYTES: usize = 16 << 10;

/// Most schemes and parameters of one `WWW-Authenticate` line.
pub const MAX_CHALLENGE_PARAMETERS: usize = 64;

/// Largest answer of a token service; tokens with many grants reach some ten KiB.
pub const MAX_TOKEN_BYTES: u64 = 1 << 20;

/// Largest auth file (docker config, containers auth.json, helper output).
pub const MAX_AUTH_FILE_BYTES: usize = 1 << 20;

/// Largest page of a tag list.
pub const MAX_TAG_PAGE_BYTES: u64 = 8 << 20;

/// Most pages of one list: with the usual 100 to 1000 entries per page far beyond any real repository.
pub const MAX_PAGES: usize = 10_000;

/// Most entries of one list, so that a registry whose pages never end cannot fill the memory.
pub const MAX_LIST_ENTRIES: usize = 1_000_000;

/// Smallest and largest part of a chunked upload. Amazon ECR wants at least 5 MiB but for the last, others ask with
/// `OCI-Chunk-Min-Length`; a registry that asks for more than a GiB is not taken seriously.
pub const MAX_CHUNK_BYTES: u64 = 1 << 30;
/// Most findings of one code that a validation keeps; the rest is counted. A hostile layer could make a million.
pub const MAX_FINDINGS_PER_CODE: usize = 50;

/// Most bytes that one layer unpacks to while it is validated: twice the largest model images.
pub const MAX_UNPACKED_LAYER_BYTES: u64 = 256 << 30;

/// Most unpacked bytes per stored byte while a layer is validated. Deflate cannot give more than 1032; a zstd stream
/// beyond it is a bomb.
pub const MAX_UNPACK_RATIO: u64 = 1040;

/// Unpacked bytes that every layer may have whatever its ratio: small zstd layers of zeros are no attack.
pub const UNPACK_SLACK_BYTES: u64 = 64 << 20;

/// Bytes of an image's `/etc/passwd` or `/etc/group` that are searched for a name; real ones have some KiB.
pub const MAX_ACCOUNT_FILE_BYTES: u64 = 1 << 20;

/// Most records walked in the version tables of one ELF file; libraries with the most versions (libstdc++) have some
/// hundred. Each step counts, so that tables whose links form a cycle end.
pub const MAX_VERSION_STEPS: usize = 64 << 10;

/// Most objects of one closure: a process with four thousand libraries has never been seen.
pub const MAX_CLOSURE_OBJECTS: usize = 4096;

/// Most libraries that watch the loader of one program (`DT_AUDIT`): each costs a walk of its own, and none has been seen
/// with more than one.
pub const MAX_AUDIT_LIBRARIES: usize = 16;

/// Most names looked up to find a library that lies elsewhere in a root; `/usr/lib` of a full desktop has some ten thousand
/// that are no libraries themselves.
pub const MAX_ELSEWHERE_LOOKUPS: usize = 50_000;

/// How deep below the directories of libraries it is looked for: `/opt/vendor/product/version/lib` has four.
pub const MAX_ELSEWHERE_DEPTH: usize = 4;

/// Requests that the embedded registry remembers for those who test clients with it: a large push has some thousands.
pub const MAX_SEEN_REQUESTS: usize = 100_000;

/// Header lines of a message that a trace shows: more is no help to anybody.
pub const MAX_TRACED_HEADERS: usize = 100;

/// Most added programs and libraries of which the needs are checked: each is opened once more.
pub const MAX_ADDED_CODE_FILES: usize = 10_000;

/// Most pieces of evidence of one kind in a finding: what fits on a screen.
pub const MAX_EVIDENCE: usize = 16;

/// Most entries of a cache whose files are looked up: those of a full desktop.
pub const MAX_CHECKED_CACHE_ENTRIES: usize = 20_000;

/// Most files that `ld.so.conf` may include, and most directories that it may name; real ones have a dozen.
pub const MAX_LD_CONF_ITEMS: usize = 1024;

/// Deepest nesting of files that `ld.so.conf` includes; `ldconfig` itself has no bound.
pub const MAX_LD_CONF_DEPTH: usize = 8;

/// Largest file of the configuration of `ldconfig` read, in bytes; real ones have some hundred.
pub const MAX_LD_CONF_BYTES: u64 = 1 << 20;

/// Most entries of `ld.so.cache` (a full desktop has some ten thousand).
pub const MAX_LD_CACHE_ENTRIES: u32 = 1 << 20;

/// Most sections of the cache's extension directory; two are defined.
pub const MAX_LD_CACHE_SECTIONS: u32 = 64;

/// Most glibc-hwcaps names in a cache; some dozens exist.
pub const MAX_LD_CACHE_HWCAPS: u32 = 1024;

/// Largest loader read for its built-in directories, in bytes; real ones have some hundred KiB.
pub const MAX_LOADER_BYTES: u64 = 16 << 20;

/// Largest file that configures a loader (`ld.so.cache`, `ld.so.preload`, musl's path file), in bytes; the cache of a full
/// desktop has some hundred KiB.
pub const MAX_LOADER_CONFIG_BYTES: u64 = 64 << 20;

/// Most paths tried and dependencies followed for one closure; real programs need some hundred, hostile search paths and
/// libraries that all name each other multiply.
pub const MAX_LOADER_ATTEMPTS: usize = 64 << 10;

/// Most nodes of a root that are remembered at a time: more than all programs of a full desktop touch.
pub const MAX_REMEMBERED_NODES: usize = 1 << 18;

/// Most dynamic symbols of one ELF file; the largest libraries that are known (machine learning, whole compilers) have
/// some hundred thousand.
pub const MAX_DYNAMIC_SYMBOLS: u64 = 4 << 20;

/// Longest symbol name kept, in bytes: names of C++ templates reach some KiB. Longer ones are left out.
pub const MAX_SYMBOL_NAME_BYTES: usize = 32 << 10;

/// All symbol names kept of one ELF file together, in bytes, so that overlapping strings cannot multiply; the largest
/// string tables that are known have some ten MiB.
pub const MAX_SYMBOL_NAMES_TOTAL_BYTES: usize = 64 << 20;

/// Most buckets of a GNU hash table that are read: a linker makes fewer than symbols.
pub const MAX_GNU_HASH_BUCKETS: u64 = MAX_DYNAMIC_SYMBOLS;

/// Most entries of all `.note.dlopen` notes of one file; a library with many optional needs has some twenty.
pub const MAX_DLOPEN_ENTRIES: usize = 1024;

/// Most names of one entry of `.note.dlopen`; versions of one library are listed, hardly more than five.
pub const MAX_DLOPEN_SONAMES: usize = 64;

/// How much of one object is searched for the strings that rules ask for, in bytes: more than any real program loads, and
/// some seconds of work for a file that claims more.
pub const MAX_TRAIT_SCAN_BYTES: u64 = 2 << 30;

/// How much of an object is read at once while it is searched for strings, in bytes: calls cost nothing beside it, and it
/// stays in the second cache of a CPU.
pub const TRAIT_WINDOW_BYTES: usize = 256 << 10;

/// Longest string that rules may ask for, in bytes: they are names and paths. Longer ones are never found.
pub const MAX_NEEDLE_BYTES: usize = 4096;

/// Longest text captured behind a string, in bytes: a path, or a list of some.
pub const MAX_CAPTURE_BYTES: usize = 1024;

/// Most texts kept for one capture; a library has one or two.
pub const MAX_CAPTURED_TEXTS: usize = 64;

/// Longest path taken from the strings of an object, in bytes: single ones are short, search paths of some dozen
/// directories reach some hundred.
pub const MAX_PATH_STRING_BYTES: usize = 1023;

/// Most paths kept of one object's strings; the largest libraries have some hundred.
pub const MAX_PATH_STRINGS: usize = 8192;

/// Most names of libraries kept of one object's strings; launchers and drivers have some dozens.
pub const MAX_LIBRARY_STRINGS: usize = 2048;

/// Largest rule pack read, in bytes; the built-in ones have some 10 KiB each.
pub const MAX_RULE_PACK_BYTES: usize = 1 << 20;

/// Deepest nesting of a rule pack; its own types need eight levels.
pub const MAX_RULE_PACK_DEPTH: usize = 16;

/// Most nodes of a rule pack, after aliases are expanded.
pub const MAX_RULE_PACK_NODES: usize = 100_000;

/// Most texts that one list of a need grows to when its variables are put in: a search path has some dozen directories.
pub const MAX_RULE_EXPANSIONS: usize = 1024;

/// Most wants that one rule gives for one object: a large program names some thousand paths.
pub const MAX_RULE_WANTS: usize = 8192;

/// Most pieces of evidence told for one want: enough to be believed, few enough to be read.
pub const MAX_RULE_EVIDENCE: usize = 8;
/// Bytes of a file of certificates: all authorities that Mozilla trusts are 200 KiB.
pub const MAX_CA_BUNDLE_BYTES: u64 = 16 << 20;
/// Largest package database (dpkg's `status`, apk's `installed`), in bytes, and all of a root together: a full desktop's
/// has some 10 MiB.
pub const MAX_PACKAGE_DATABASE_BYTES: u64 = 128 << 20;

/// Largest configuration file of a package that is compared with what the package brought, in bytes: real ones are far below
/// 1 MiB.
pub const MAX_CONFFILE_BYTES: u64 = 16 << 20;

/// Most packages of a root; Debian as a whole has some 70,000.
pub const MAX_PACKAGES: usize = 100_000;

/// Bytes read of all lists of packages' files together: those of a full desktop have some 50 MiB.
pub const MAX_PACKAGE_LISTS_BYTES: u64 = 512 << 20;

/// Most paths of all packages together; a full desktop has about a million.
pub const MAX_PACKAGE_PATHS: usize = 8 << 20;

/// Bytes of all paths of packages together, kept in memory with their links resolved.
pub const MAX_PACKAGE_PATHS_BYTES: usize = 1 << 30;

/// Most links of one group of alternatives; a compiler with all its manual pages has some hundred.
pub const MAX_ALTERNATIVE_LINKS: usize = 4096;

/// Most diversions of dpkg; a full desktop has some dozens.
pub const MAX_DIVERSIONS: usize = 64 << 10;

/// Most entries of a directory tree that one need takes: the libraries of a language runtime have some ten thousand.
pub const MAX_NEEDED_TREE_ENTRIES: usize = 200_000;

/// Most programs that one image gets because other programs execute them.
pub const MAX_PROCESSES: usize = 64;

/// Most files that are executed, scripts too: scripts that name each other as interpreters would go on for ever.
pub const MAX_EXECUTED_FILES: usize = 4096;

/// Most rounds in which what a need brings in is looked at for further needs; each brings new objects or ends the search.
pub const MAX_NEED_ROUNDS: usize = 64;

/// Most certificates in one directory of a root; Mozilla trusts about 150.
pub const MAX_CERTIFICATES: usize = 10_000;

/// Bytes of glibc's list of converters; it has 80 KiB.
pub const MAX_GCONV_LIST_BYTES: u64 = 4 << 20;

/// How much of a script is read for its `#!` line, in bytes: as much as Linux does (`BINPRM_BUF_SIZE`).
pub const MAX_SHEBANG_BYTES: u64 = 256;

/// Bytes of a value of `security.capability`: the largest that Linux knows has 24 (`struct vfs_ns_cap_data`).
pub const MAX_CAPABILITY_BYTES: usize = 64;

/// A PEM file of certificates or a key: bundles of whole systems have about 250 KiB.
pub const MAX_CERTIFICATE_FILE_BYTES: u64 = 16 << 20;

/// A file that says how registries are reached (`registries.conf`, `hosts.toml`): real ones have a few KiB.
pub const MAX_HOSTS_FILE_BYTES: u64 = 1 << 20;

/// Mirrors that are tried for one image: each may cost a timeout.
pub const MAX_MIRRORS: usize = 16;

/// Hosts with a directory of their own below one `certs.d`.
pub const MAX_HOST_DIRECTORIES: usize = 4096;

/// Smallest part of a chunked upload that is tried: below it a layer would take thousands of requests.
pub const MIN_CHUNK_BYTES: u64 = 256 << 10;
