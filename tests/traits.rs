//! What is read from an object for the rules: notes, marks and strings.

#[path = "support/elf.rs"]
mod maker;

use coracle::analyze::traits::{Capture, Needles, Traits};
use coracle::elf::{Language, Libc, Priority};
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
