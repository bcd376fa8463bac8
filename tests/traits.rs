//! What is read from an object for the rules: notes, marks and strings.

#[path = "support/elf.rs"]
mod maker;

use std::borrow::Cow;
use std::cell::Cell;

use coracle::analyze::traits::{Capture, Needles, Traits};
use coracle::elf::{Bytes, Language, Libc, Priority};
use coracle::limits;
use maker::{ElfMaker, Machine};

/// Type of the notes of declared run-time loads.
const DLOPEN: u32 = 0x407c_0c0a;

fn needles(literals: &[&str], captures: &[(&str, Option<u8>)]) -> Needles {
    let captures = captures.iter().map(|(after, until)| Capture { after: after.as_bytes().to_vec(), until: *until });
    Needles::new(literals.iter().map(|text| text.as_bytes().to_vec()).collect(), captures.collect())
}

fn read(payload: &[u8], needles: &Needles) -> Traits {
    Traits::read(&ElfMaker::new(Machine::Amd64).payload(payload).build(), needles)
}

fn texts(strings: &[coracle::analyze::traits::PathString]) -> Vec<String> {
    strings.iter().map(|string| String::from_utf8_lossy(&string.text).into_owned()).collect()
}

#[test]
fn literals_and_captures() {
    let needles = needles(
        &["/etc/ssl/certs", "/etc/ssl/certs/ca.crt", "ssl", "absent", "", "ssl"],
        &[("OPENSSLDIR: \"", Some(b'"')), ("prefix=", None), ("", None)],
    );
    // As Go and Rust have their strings: no NUL between them.
    let payload = b"xx/etc/ssl/certs/ca.crtmoreOPENSSLDIR: \"/usr/lib/ssl\"OPENSSLDIR: \"/a\nb\"OPENSSLDIR: \"\"prefix=/usr\0prefix=/opt\0prefix=/usr\0prefix=";
    let bytes = ElfMaker::new(Machine::Amd64).payload(payload).build();
    let start = memchr::memmem::find(&bytes, b"xx/etc").unwrap() as u64;
    let traits = Traits::read(&bytes, &needles);
    let literals: Vec<(usize, u64)> = traits.literals.into_iter().map(|(index, at)| (index, at - start)).collect();
    assert_eq!(literals, [(0, 2), (1, 2), (2, 7), (5, 7)]);
    let captured = |index: usize| {
        let texts = traits.captures.get(&index).into_iter().flatten();
        texts.map(|c| (String::from_utf8_lossy(&c.text).into_owned(), c.offset - start)).collect::<Vec<_>>()
    };
    assert_eq!(captured(0), [("/usr/lib/ssl".to_owned(), 40)]);
    assert_eq!(captured(1).into_iter().map(|(text, _)| text).collect::<Vec<_>>(), ["/opt", "/usr"]);
    assert_eq!(captured(2), []);
    // An empty needle can never be found, which is said.
    assert!(!traits.complete);
}

#[test]
fn paths_and_libraries() {
    let payload = b"\0/usr/share/x\0SHELL=/bin/sh\0usr/lib\0/a\0/12\0/p q\0/proc/%d/exe\0%s/tail\0/end\x01\
        libfoo.so.1\0libnss_%s.so.%d\0plugin.so\0x.so.1.2\0x.so.bak\0.so\0lib.so\0/opt/liba.so\0cannot load libb.so\0libc.so.6 \0";
    let traits = read(payload, &needles(&[], &[]));
    assert_eq!(texts(&traits.paths), ["/usr/share/x", "/bin/sh", "/proc/%d/exe", "/opt/liba.so"]);
    let want = ["libfoo.so.1", "libnss_%s.so.%d", "plugin.so", "x.so.1.2", "lib.so", "libb.so"];
    assert_eq!(texts(&traits.libraries), want);
    assert!(traits.complete);
}

#[test]
fn notes_of_run_time_loads() {
    let list = br#"[{"soname":["liba.so.2","liba.so.1"],"priority":"required","feature":"a","description":"does a"},{"soname":"libb.so"},{"soname":[]},7]"#;
    let maker = ElfMaker::new(Machine::S390x)
        .note("FDO", DLOPEN, &[&list[..], b"\0"].concat())
        .note("FDO", DLOPEN, br#"{"soname":"libc.so","priority":"suggested"}"#)
        .note("FDO", DLOPEN, b"{broken")
        .note("Other", DLOPEN, br#"[{"soname":"libx.so"}]"#);
    let traits = Traits::read(&maker.build(), &needles(&[], &[]));
    let told: Vec<(Vec<String>, Priority)> = traits
        .dlopen
        .iter()
        .map(|note| (note.sonames.iter().map(ToString::to_string).collect(), note.priority))
        .collect();
    let one = |name: &str| vec![name.to_owned()];
    let both = vec!["liba.so.2".to_owned(), "liba.so.1".to_owned()];
    let want =
        [(both, Priority::Required), (one("libb.so"), Priority::Recommended), (one("libc.so"), Priority::Suggested)];
    assert_eq!(told, want);
    assert_eq!(
        (traits.dlopen[0].feature.as_deref(), traits.dlopen[0].description.as_deref()),
        (Some("a"), Some("does a"))
    );
}

#[test]
fn marks_of_toolchains() {
    let none = needles(&[], &[]);
    for (payload, language, libc) in [
        (&b"\0runtime.mallocgc\0"[..], Some(Language::Go), None),
        (b"called `Option::unwrap()` on a `None` value", Some(Language::Rust), None),
        (b"attempt to unwrap error: ", Some(Language::Zig), None),
        (b"No error information\0", None, Some(Libc::Musl)),
        (b"glibc-ld.so.cache1.1", None, Some(Libc::Glibc)),
        (b"nothing", None, None),
    ] {
        let traits = read(payload, &none);
        assert_eq!((traits.language, traits.static_libc), (language, libc));
    }
    // A C library belongs to a static program only.
    let library = ElfMaker::new(Machine::Arm64).object_type(3).soname("libx.so").payload(b"No error information\0");
    assert_eq!(Traits::read(&library.build(), &none).static_libc, None);
    assert_eq!(Traits::read(&&b"no ELF file"[..], &none), Traits::default());
}

/// A payload with strings of every kind at many places, and what stands at which.
fn mixed(size: usize) -> Vec<u8> {
    let parts: [&[u8]; 9] = [
        b"OPENSSLDIR: \"/usr/lib/ssl\"",
        b"\0/etc/ssl/certs/ca.crt\0",
        b"\0libnss_files.so.2\0",
        b"SHELL=/bin/sh\0",
        b"prefix=/opt/x\0",
        b"\xff\xfe/\x80.so\0",
        b"called `Option::unwrap()` on a `None` value",
        b"aaaaaaaaaaaaaaaa",
        b"\0x.so.1\0/a/b\0",
    ];
    let mut out = Vec::new();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    while out.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let choice = usize::try_from(state % 64).unwrap();
        out.extend_from_slice(parts.get(choice).copied().unwrap_or(&state.to_le_bytes()));
    }
    out
}

/// What is found does not depend on where windows end, and literals are where a plain search finds them.
#[test]
fn borders_of_windows() {
    let literals =
        ["/etc/ssl/certs", "/etc/ssl/certs/ca.crt", "ssl", "aaaaaaa", "aa", "libnss_", "Option::unwrap", "absent"];
    let captures = [("OPENSSLDIR: \"", Some(b'"')), ("prefix=", None), ("SHELL", None), ("=", Some(b'/'))];
    // With and without strings of less than 7 and of less than 4 bytes, which are searched otherwise.
    for (least, step) in [(0, 1), (4, 1), (7, 1), (7, 2)] {
        let chosen = |text: &&str| text.len() >= least;
        let literals: Vec<&str> = literals.iter().copied().filter(chosen).step_by(step).collect();
        let captures: Vec<(&str, Option<u8>)> = captures.iter().copied().filter(|c| c.0.len() >= least).collect();
        let needles = needles(&literals, &captures);
        for machine in [Machine::Amd64, Machine::Mips] {
            let bytes = ElfMaker::new(machine).payload(&mixed(6000)).build();
            let want = Traits::read(&bytes, &needles);
            for window in [1, 2, 3, 5, 64, 255, 256, 257, 1000, 4096] {
                assert_eq!(Traits::read_in_windows(&bytes, &needles, window), want, "{window}");
            }
            for (index, literal) in literals.iter().enumerate() {
                let at = memchr::memmem::find(&bytes, literal.as_bytes()).map(|at| at as u64);
                assert_eq!(want.literals.get(&index).copied(), at, "{literal}");
            }
            assert!(want.paths.len() >= 3 && want.libraries.len() == 2 && want.complete, "{want:?}");
        }
    }
}

#[test]
fn a_border_of_the_usual_window() {
    let needles = needles(&["/etc/ssl/certs/ca.crt"], &[("OPENSSLDIR: \"", Some(b'"'))]);
    let strings = b"\0/etc/ssl/certs/ca.crt\0OPENSSLDIR: \"/usr/lib/ssl\"\0libnss_files.so.2\0";
    let start = ElfMaker::new(Machine::Amd64).payload(b"x").build().len() - 1;
    let border = limits::TRAIT_WINDOW_BYTES - start;
    for before in 0..=strings.len() {
        let mut payload = vec![1; border - before];
        payload.extend_from_slice(strings);
        payload.resize(border + 2000, 1);
        let traits = read(&payload, &needles);
        assert_eq!((traits.literals.len(), traits.captures.len()), (1, 1), "{before}");
        assert_eq!(texts(&traits.paths), ["/etc/ssl/certs/ca.crt"], "{before}");
        assert_eq!(texts(&traits.libraries), ["libnss_files.so.2"], "{before}");
    }
}

#[test]
fn lists_are_bounded() {
    let mut payload = Vec::new();
    for number in 0..limits::MAX_PATH_STRINGS + 10 {
        payload.extend(format!("\0/path/{number}\0lib{number}.so\0prefix={number}\0").into_bytes());
    }
    let needles = needles(&[], &[("prefix=", None)]);
    let traits = read(&payload, &needles);
    assert_eq!(traits.paths.len(), limits::MAX_PATH_STRINGS);
    assert_eq!(traits.libraries.len(), limits::MAX_LIBRARY_STRINGS);
    assert_eq!(traits.captures[&0].len(), limits::MAX_CAPTURED_TEXTS);
    assert!(!traits.complete);
    let long = format!(
        "\0/{}\0/{}\0prefix={}\0",
        "p".repeat(limits::MAX_PATH_STRING_BYTES - 1),
        "q".repeat(limits::MAX_PATH_STRING_BYTES),
        "r".repeat(limits::MAX_CAPTURE_BYTES + 1)
    );
    let traits = read(long.as_bytes(), &needles);
    assert_eq!(
        (traits.paths.len(), traits.paths[0].text.len(), traits.captures.len()),
        (1, limits::MAX_PATH_STRING_BYTES, 0)
    );
}

/// Counts what is asked for of a file that claims a terabyte.
struct Claims {
    bytes: Vec<u8>,
    largest: Cell<usize>,
    total: Cell<u64>,
}

impl Bytes for Claims {
    fn len(&self) -> u64 {
        1 << 40
    }

    fn read_at(&self, offset: u64, len: usize) -> Option<Cow<'_, [u8]>> {
        self.largest.set(self.largest.get().max(len));
        self.total.set(self.total.get() + len as u64);
        let start = usize::try_from(offset).ok()?;
        // Nothing behind the bytes can be read, as in a file that is cut short meanwhile.
        self.bytes.get(start..start.checked_add(len)?).map(Cow::Borrowed)
    }
}

#[test]
fn a_terabyte_is_not_read() {
    let mut bytes = ElfMaker::new(Machine::Amd64).payload(b"/etc/ssl/certs").build();
    let size = (1u64 << 40).to_le_bytes();
    // p_filesz and p_memsz of the first program header.
    bytes[96..104].copy_from_slice(&size);
    bytes[104..112].copy_from_slice(&size);
    let file = Claims { bytes, largest: Cell::new(0), total: Cell::new(0) };
    let traits = Traits::read(&file, &needles(&["/etc/ssl/certs"], &[]));
    assert!(!traits.complete);
    assert!(file.largest.get() <= limits::TRAIT_WINDOW_BYTES + (8 << 10), "{}", file.largest.get());
    assert!(file.total.get() <= limits::MAX_TRAIT_SCAN_BYTES * 102 / 100 + (1 << 20), "{}", file.total.get());
}

/// Debug sections and everything else that is not loaded is not searched.
#[test]
fn only_what_is_loaded_counts() {
    let maker = ElfMaker::new(Machine::Amd64).section(".debug_str", 1, b"\0/etc/ssl/certs\0libx.so\0");
    let traits = Traits::read(&maker.build(), &needles(&["/etc/ssl/certs"], &[]));
    assert_eq!((traits.literals.len(), traits.paths.len(), traits.libraries.len()), (0, 0, 0));
    // The loader's own names are no strings of the program.
    let traits = Traits::read(&ElfMaker::new(Machine::Mips).needed("libc.so.6").build(), &needles(&[], &[]));
    assert_eq!(traits.libraries, []);
}
