//! The search for strings: size of windows, then texts with their length in front up to a length of 0, then what is
//! searched. The last text is captured behind.
#![cfg_attr(fuzzing, no_main)]

use coracle::analyze::traits::{Capture, Needles, Traits};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// No input makes the search panic, windows of any size find the same, and literals are where a plain search finds them.
pub fn run(data: &[u8]) {
    let [window, rest @ ..] = data else { return };
    let (mut literals, mut rest) = (Vec::new(), rest);
    while let [len, more @ ..] = rest {
        let Some((text, more)) = more.split_at_checked(usize::from(*len)).filter(|(text, _)| !text.is_empty()) else {
            break;
        };
        literals.push(text.to_vec());
        rest = more;
    }
    let captures = literals.last().map(|after| Capture { after: after.clone(), until: after.first().copied() });
    let needles = Needles::new(literals.clone(), captures.into_iter().collect());
    let file = with_segment(rest);
    let traits = Traits::read(&file, &needles);
    assert_eq!(traits, Traits::read_in_windows(&file, &needles, usize::from(*window)));
    for (index, text) in literals.iter().enumerate() {
        let at = file.windows(text.len()).position(|window| window == text).map(|at| at as u64);
        assert_eq!(traits.literals.get(&index).copied(), at);
    }
    for captured in traits.captures.values().flatten() {
        let at = captured.offset as usize;
        assert_eq!(file.get(at..at + captured.text.len()), Some(captured.text.as_slice()));
    }
    for string in traits.paths.iter().chain(&traits.libraries) {
        let at = string.offset as usize;
        assert_eq!(file.get(at..=at + string.text.len()), Some([&string.text[..], b"\0"].concat().as_slice()));
    }
}

/// A little-endian 64-bit file of which all is loaded, read-only.
fn with_segment(content: &[u8]) -> Vec<u8> {
    let mut out = b"\x7fELF\x02\x01\x01".to_vec();
    out.resize(64, 0);
    let mut put = |at: usize, value: &[u8]| out[at..at + value.len()].copy_from_slice(value);
    put(16, &[3, 0, 62, 0, 1]);
    // e_phoff, e_phentsize, e_phnum.
    put(32, &[64]);
    put(54, &[56, 0, 1]);
    let (zero, size) = (0u64.to_le_bytes(), (120 + content.len() as u64).to_le_bytes());
    out.extend([&[1u8, 0, 0, 0, 4, 0, 0, 0][..], &zero, &zero, &zero, &size, &size, &zero, content].concat());
    out
}
