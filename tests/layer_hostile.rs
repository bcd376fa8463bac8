//! Archives that are odd, damaged or hostile.

#[path = "support/archives.rs"]
mod archives;

use std::io::Read;

use archives::{Header, archive, long, pax, plain, record, records, with_body};
use coracle::layer::tar::{Ending, Error, Problem, TarEntry, TarKind, TarReader};
use coracle::limits;

/// Reads everything, at most 1 MiB of each content.
fn read(tar: &[u8]) -> Result<(Vec<TarEntry>, Ending), Error> {
    let mut reader = TarReader::new(tar);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        // A failure shows again in `next_entry`.
        let _ = reader.content().take(1 << 20).read_to_end(&mut Vec::new());
        entries.push(entry);
    }
    Ok((entries, reader.ending().expect("it has ended")))
}

#[test]
fn what_readers_disagree_about_is_told() {
    let file = || plain("f", b"content");
    let mut slash = Header::new(b'0', "f/", 0);
    slash.field(157, b"");
    let mut signed = Header::new(b'0', "f", 0);
    signed.field(0, &[0xff]);
    for (parts, problem) in [
        (vec![records(b'g', &[("path", "/etc/passwd")]), file()], Problem::GlobalRecords),
        (vec![records(b'x', &[("path", "a")]), records(b'x', &[("path", "b")]), file()], Problem::RepeatedHeader),
        (vec![long(b'L', "a"), long(b'L', "b"), file()], Problem::RepeatedHeader),
        (vec![long(b'L', "a"), records(b'x', &[("path", "b")]), file()], Problem::TwoNames),
        (vec![records(b'x', &[("path", "a\0b")]), file()], Problem::NulInName),
        (vec![Header::new(b'5', "d/", 77).block()], Problem::SizeWithoutContent),
        (vec![Header::new(b'1', "h", 77).block()], Problem::SizeWithoutContent),
        (vec![slash.block()], Problem::FileNamedAsDirectory),
        (vec![signed.signed_block()], Problem::SignedChecksum),
        (vec![records(b'x', &[("path", "a"), ("path", "b")]), file()], Problem::RepeatedRecord),
        (vec![Header::new(b'V', "volume", 0).block()], Problem::UnknownType),
    ] {
        let (entries, _) = read(&archive(&parts)).expect("readable");
        assert_eq!(entries[0].problems, [problem]);
        assert_eq!(entries.len(), 1);
    }
    let quiet = [records(b'g', &[("comment", "0123456789abcdef")]), file()];
    assert_eq!(read(&archive(&quiet)).expect("readable").0[0].problems, []);
}

#[test]
fn the_more_precise_name_counts() {
    let mut prefixed = Header::new(b'0', "name", 0);
    prefixed.field(345, b"pre/fix");
    let mut gnu = Header::gnu(b'0', "name", 0);
    gnu.field(345, b"pre/fix");
    for (parts, want) in [
        (vec![prefixed.block()], "pre/fix/name"),
        (vec![gnu.block()], "name"),
        (vec![long(b'L', "long"), prefixed.block()], "long"),
        (vec![long(b'L', "long"), records(b'x', &[("path", "pax")]), prefixed.block()], "pax"),
        (vec![records(b'x', &[("path", "")]), prefixed.block()], "pre/fix/name"),
        (vec![records(b'g', &[("path", "global")]), prefixed.block()], "pre/fix/name"),
    ] {
        let (entries, _) = read(&archive(&parts)).expect("readable");
        assert_eq!(String::from_utf8_lossy(&entries[0].path), want);
    }
}

#[test]
fn numbers_in_every_spelling() {
    let mut header = Header::gnu(b'3', "dev", 0);
    header.field(108, b"\x80\0\0\0\x3b\xa4\xdc\x20").field(136, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe");
    header.field(329, b"     10\0").field(337, b"0000003\0");
    let (entries, _) = read(&archive(&[header.block()])).expect("readable");
    let entry = &entries[0];
    assert_eq!((entry.kind, entry.uid, entry.mtime), (TarKind::CharDevice, 1_000_660_000, -2));
    assert_eq!(entry.device, Some((8, 3)));
    let times = [("mtime", "1700000000.25"), ("uid", "4294967296"), ("SCHILY.xattr.user.a", "b=c"), ("VENDOR.x", "y")];
    let (entries, _) = read(&archive(&[records(b'x', &times), plain("f", b"")])).expect("readable");
    let entry = &entries[0];
    assert_eq!((entry.mtime, entry.mtime_nanos, entry.uid), (1_700_000_000, 250_000_000, 1 << 32));
    assert_eq!(entry.xattrs[&b"user.a"[..]], b"b=c");
    assert_eq!(entry.records[&b"VENDOR.x"[..]], b"y");
    assert_eq!(entry.records.len(), 1);
}

/// Archives that cannot be read, and what the message says.
fn broken() -> Vec<(Vec<Vec<u8>>, &'static str)> {
    let mut number = Header::new(b'0', "f", 0);
    number.field(124, b"0000000009x\0");
    let mut negative = Header::new(b'0', "f", 0);
    negative.field(124, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe");
    let mut mode = Header::gnu(b'0', "f", 0);
    mode.field(100, b"\x80\0\0\x01\0\0\0\0");
    let mut checksum = plain("f", b"");
    checksum[0] = b'g';
    let sparse = |pairs: &[(&str, &str)], stored: &[u8]| vec![records(b'x', pairs), plain("s", stored)];
    let v1 = |body: &[u8]| {
        let major = ("GNU.sparse.major", "1");
        let mut block = body.to_vec();
        block.resize(512, 0);
        sparse(&[major, ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "9999")], &block)
    };
    let v01 = |map: &str, real: &str| sparse(&[("GNU.sparse.map", map), ("GNU.sparse.size", real)], b"12345");
    let many = record("k", "v").repeat(260_000);
    vec![
        (vec![checksum], "no valid tar header at offset 0"),
        (vec![plain("f", b"abc"), vec![b'x'; 512]], "no valid tar header at offset 1024"),
        (vec![number.block()], "`size`"),
        (vec![negative.block()], "`size`"),
        (vec![mode.block()], "`mode`"),
        (vec![records(b'x', &[("size", "-1")]), plain("f", b"")], "`size`"),
        (vec![records(b'x', &[("uid", "18446744073709551616")]), plain("f", b"")], "`uid`"),
        (vec![records(b'x', &[("mtime", "soon")]), plain("f", b"")], "`mtime`"),
        (vec![pax(b'x', b"no length\n"), plain("f", b"")], "a record has no length"),
        (vec![pax(b'x', b"99 a=b\n"), plain("f", b"")], "a record's length is wrong"),
        (vec![pax(b'x', b"2 a=b\n"), plain("f", b"")], "a record does not end in a newline"),
        (vec![pax(b'x', b"0 a=b\n"), plain("f", b"")], "a record's length is wrong"),
        (vec![pax(b'x', b"18446744073709551615 a=b\n"), plain("f", b"")], "a record's length is wrong"),
        (vec![pax(b'x', b"6 a=bc"), plain("f", b"")], "a record does not end in a newline"),
        (vec![pax(b'x', b"5 ab\n"), plain("f", b"")], "a record has no `=`"),
        (vec![pax(b'x', b"5 =b\n"), plain("f", b"")], "a record has no key"),
        (vec![Header::new(b'x', "p", 1 << 33).block()], "a pax header beyond the limit of 1048576"),
        (vec![pax(b'x', many.as_bytes())], "a pax header beyond the limit of 1048576"),
        (vec![Header::gnu(b'L', "l", 5000).block()], "a long name beyond the limit of 4608"),
        (vec![[long(b'L', "l")].concat().repeat(17)], "headers in front of an entry beyond the limit of 16"),
        (v01("0,5,x", "9"), "it has no number"),
        (v01("0,5,7", "9"), "it has an offset without a length"),
        (v01("0,3,2,2", "9"), "its segments are not in order"),
        (v01("0,4", "9"), "its segments are not as long as the data"),
        (v01("6,5", "9"), "its segments end beyond the file"),
        (v01("18446744073709551615,5", "9"), "a segment ends beyond any size"),
        (v01("0,5", "many"), "`GNU.sparse.realsize`"),
        (v01("0,5", "1099511627777"), "a sparse file beyond the limit"),
        (v01("0,0,".repeat(65_537).trim_end_matches(','), "9"), "segments of a sparse file beyond the limit of 65536"),
        (sparse(&[("GNU.sparse.major", "2")], b""), "its version is unknown"),
        (sparse(&[("GNU.sparse.numbytes", "2")], b""), "the records of a sparse map are out of order"),
        (v1(&[&b"999\n"[..], &b"0\n".repeat(254)].concat()), "it is longer than the data"),
        (v1(&[b'1'; 512]), "it has no number"),
        (v1(b"x\n"), "it has no number"),
        (v1(b"9999999999999999999\n"), "it has no number"),
    ]
}

#[test]
fn what_cannot_be_read_is_refused_by_cause() {
    for (parts, want) in broken() {
        let error = read(&archive(&parts)).expect_err(want).to_string();
        assert!(error.contains(want), "{error}, not {want}");
    }
}

/// Old GNU sparse headers: the map continues in blocks behind the header.
fn old_gnu_sparse(extensions: &[&[(u64, u64)]], real_size: u64, stored: &[u8]) -> Vec<Vec<u8>> {
    let descriptor = |(start, length): &(u64, u64)| format!("{start:011o}\0{length:011o}\0").into_bytes();
    let mut header = Header::gnu(b'S', "sparse", stored.len() as u64);
    header.field(386, &extensions[0].iter().flat_map(descriptor).collect::<Vec<_>>());
    header.field(482, &[u8::from(extensions.len() > 1)]);
    header.field(483, format!("{real_size:011o}\0").as_bytes());
    let mut out = vec![header.block()];
    for (index, segments) in extensions.iter().enumerate().skip(1) {
        let mut block = segments.iter().flat_map(descriptor).collect::<Vec<_>>();
        block.resize(512, 0);
        block[504] = u8::from(index + 1 < extensions.len());
        out.push(block);
    }
    let mut data = stored.to_vec();
    data.resize(stored.len().next_multiple_of(512), 0);
    out.push(data);
    out
}

#[test]
fn old_gnu_sparse_maps() {
    let good = old_gnu_sparse(&[&[(1, 1)], &[(3, 1)], &[(5, 1), (9, 0)]], 9, b"abc");
    let tar = archive(&good);
    let mut reader = TarReader::new(tar.as_slice());
    let entry = reader.next_entry().expect("readable").expect("an entry");
    let mut content = Vec::new();
    reader.content().read_to_end(&mut content).expect("reads");
    assert_eq!((entry.size, content.as_slice()), (9, &b"\0a\0b\0c\0\0\0"[..]));
    assert!(reader.next_entry().expect("the end").is_none());

    let empty = old_gnu_sparse(&[&[(1, 1)], &[], &[(5, 1)]], 9, b"ab");
    let error = read(&archive(&empty)).expect_err("an empty block").to_string();
    assert!(error.contains("an extension block is empty"), "{error}");
}

/// A well-formed archive with every kind of header.
fn sample() -> Vec<u8> {
    let v1 = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "600")];
    let mut map = b"2\n0\n3\n600\n0\n".to_vec();
    map.resize(512, 0);
    map.extend_from_slice(b"abc");
    let mut parts = vec![
        records(b'g', &[("comment", "sample")]),
        Header::new(b'5', "d/", 0).block(),
        records(b'x', &[("path", "d/long"), ("uid", "3000000"), ("SCHILY.xattr.user.a", "b"), ("mtime", "1.5")]),
        plain("d/short", b"content"),
        long(b'L', "d/gnu"),
        long(b'K', "target"),
        with_body(&Header::gnu(b'2', "d/gnu", 0), b""),
        records(b'x', &v1),
        plain("sparse", &map),
    ];
    parts.extend(old_gnu_sparse(&[&[(1, 1)], &[(3, 1)]], 9, b"ab"));
    archive(&parts)
}

#[test]
fn every_cut_is_noticed() {
    let tar = sample();
    let (entries, ending) = read(&tar).expect("well-formed");
    assert_eq!(entries.len(), 5);
    assert_eq!(ending, Ending { zero_blocks: 2, trailing: 0, trailing_data: false });
    for cut in 0..tar.len() {
        match read(&tar[..cut]) {
            Ok((_, ending)) => assert!(ending.zero_blocks < 2, "{cut}"),
            Err(Error::Truncated { offset }) => assert!(offset < cut as u64, "{cut}"),
            Err(other) => panic!("{cut}: {other}"),
        }
    }
}

#[test]
fn no_changed_byte_makes_it_panic() {
    let tar = sample();
    for at in (0..tar.len()).step_by(2) {
        let mut changed = tar.clone();
        changed[at] = [0, 0xff, b'9', b'\n'][at / 2 % 4];
        // A header's checksum is made right again, so that the change goes deeper.
        let start = at / 512 * 512;
        let block: [u8; 512] = changed[start..start + 512].try_into().expect("a block");
        if block[257..262] == *b"ustar" {
            changed[start..start + 512].copy_from_slice(&Header(block).block());
        }
        let _ = read(&changed);
    }
}

#[test]
fn the_end_of_an_archive() {
    let file = plain("f", b"");
    let ending = |tail: &[u8]| read(&[file.as_slice(), tail].concat()).expect("readable").1;
    let of = |zero_blocks, trailing, trailing_data| Ending { zero_blocks, trailing, trailing_data };
    assert_eq!(ending(&[]), of(0, 0, false));
    assert_eq!(ending(&[0; 512]), of(1, 0, false));
    assert_eq!(ending(&[0; 1024]), of(2, 0, false));
    assert_eq!(ending(&[0; 10_240]), of(2, 9216, false));
    assert_eq!(ending(&[[0; 1024].as_slice(), b"hidden"].concat()), of(2, 6, true));
    assert_eq!(ending(&[[0; 512].as_slice(), &plain("g", b"")].concat()), of(1, 512, true));
    assert_eq!(read(&[]).expect("empty").1, of(0, 0, false));
}

#[test]
fn a_claim_costs_nothing() {
    // Contents that are claimed but not there are noticed without waiting for memory or time.
    let claim = Header::new(b'0', "f", (1 << 33) - 1);
    assert!(matches!(read(&claim.block()), Err(Error::Truncated { offset: 0 })));
    let pax = Header::new(b'x', "p", limits::MAX_TAR_PAX_BYTES);
    assert!(matches!(read(&pax.block()), Err(Error::Truncated { offset: 0 })));
    // A sparse file may be as large as any layer; what is not read costs nothing.
    let map = [("GNU.sparse.map", ""), ("GNU.sparse.size", "1099511627776")];
    let (entries, _) = read(&archive(&[records(b'x', &map), plain("s", b"")])).expect("readable");
    assert_eq!(entries[0].size, limits::MAX_LAYER_BYTES);
}
