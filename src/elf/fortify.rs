//! The functions of glibc that have a checking twin: `memcpy` and `__memcpy_chk` (glibc, `debug/` and `include/bits/*2.h`).

/// Functions with a twin, sorted. Those for which the plain name tells nothing are in [`NO_PLAIN`].
const FUNCTIONS: [&[u8]; 77] = [
    b"asprintf",
    b"confstr",
    b"dprintf",
    b"explicit_bzero",
    b"fgets",
    b"fgets_unlocked",
    b"fgetws",
    b"fgetws_unlocked",
    b"fprintf",
    b"fread",
    b"fread_unlocked",
    b"fwprintf",
    b"getcwd",
    b"getdomainname",
    b"getgroups",
    b"gethostname",
    b"getlogin_r",
    b"gets",
    b"getwd",
    b"mbsnrtowcs",
    b"mbsrtowcs",
    b"mbstowcs",
    b"memcpy",
    b"memmove",
    b"mempcpy",
    b"memset",
    b"obstack_printf",
    b"obstack_vprintf",
    b"poll",
    b"ppoll",
    b"pread",
    b"pread64",
    b"printf",
    b"ptsname_r",
    b"read",
    b"readlink",
    b"readlinkat",
    b"realpath",
    b"recv",
    b"recvfrom",
    b"snprintf",
    b"sprintf",
    b"stpcpy",
    b"stpncpy",
    b"strcat",
    b"strcpy",
    b"strncat",
    b"strncpy",
    b"swprintf",
    b"syslog",
    b"ttyname_r",
    b"vasprintf",
    b"vdprintf",
    b"vfprintf",
    b"vfwprintf",
    b"vprintf",
    b"vsnprintf",
    b"vsprintf",
    b"vswprintf",
    b"vsyslog",
    b"vwprintf",
    b"wcpcpy",
    b"wcpncpy",
    b"wcrtomb",
    b"wcscat",
    b"wcscpy",
    b"wcsncat",
    b"wcsncpy",
    b"wcsnrtombs",
    b"wcsrtombs",
    b"wcstombs",
    b"wctomb",
    b"wmemcpy",
    b"wmemmove",
    b"wmempcpy",
    b"wmemset",
    b"wprintf",
];

/// Checking functions whose plain ones tell nothing: `FD_SET` is a macro, `open` is called in any case where the compiler knows
/// the flags, and functions that got their twins after glibc 2.36 are older than these, or come from other libraries (`strlcpy`
/// of libbsd).
const NO_PLAIN: [&[u8]; 13] = [
    b"__fdelt_chk",
    b"__inet_ntop_chk",
    b"__inet_pton_chk",
    b"__memset_explicit_chk",
    b"__mq_open_2",
    b"__open64_2",
    b"__open_2",
    b"__openat64_2",
    b"__openat_2",
    b"__strlcat_chk",
    b"__strlcpy_chk",
    b"__wcslcat_chk",
    b"__wcslcpy_chk",
];

/// The plain functions that `__longjmp_chk` stands for.
const LONG_JUMPS: [&[u8]; 3] = [b"_longjmp", b"longjmp", b"siglongjmp"];

/// Whether a name is that of a checking function, by the whole name: programs have functions of their own that end the same
/// way, and `__stack_chk_fail` is another protection.
pub(super) fn is_checking(name: &[u8]) -> bool {
    // Where `long double` has had two formats, each has its own functions of the family of `printf`.
    let name = name.strip_prefix(b"__nldbl_").unwrap_or(name);
    let name = name.strip_suffix(b"ieee128").unwrap_or(name);
    let function = name.strip_prefix(b"__").and_then(|name| name.strip_suffix(b"_chk"));
    function.is_some_and(|function| function == b"longjmp" || has_twin(function)) || NO_PLAIN.contains(&name)
}

/// Whether a name is that of a function with a checking twin.
pub(super) fn is_checkable(name: &[u8]) -> bool {
    if let Some(function) = name.strip_prefix(b"__nldbl_") {
        return has_twin(function);
    }
    if let Some(function) = name.strip_prefix(b"__").and_then(|name| name.strip_suffix(b"ieee128")) {
        return has_twin(function);
    }
    has_twin(name) || LONG_JUMPS.contains(&name)
}

fn has_twin(function: &[u8]) -> bool {
    FUNCTIONS.binary_search(&function).is_ok()
}
