//! Objects of a root, each parsed once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::remembered::Windows;
use super::{Abi, Candidate, Dependency, NeededVersion, Object, Objects, Shape};
use crate::elf::{Bytes, Class, Endian, Error, Load, LoaderView, Name, ObjectType};
use crate::oci::ImagePath;
use crate::rootfs::{Root, RootError};

/// Parses objects of a root when they are first asked for and keeps them: closures of many programs share it.
pub struct ParsedObjects<'a> {
    root: &'a dyn Root,
    parsed: Mutex<HashMap<ImagePath, Arc<Candidate>>>,
}

impl<'a> ParsedObjects<'a> {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(root: &'a dyn Root) -> Self {
        Self { root, parsed: Mutex::default() }
    }
}

impl Objects for ParsedObjects<'_> {
    fn read(&self, path: &ImagePath) -> Result<Arc<Candidate>, RootError> {
        let known = self.parsed.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let candidate = match self.root.open(path) {
            Ok(file) => {
                let windows = Windows::new(&*file);
                candidate(&windows, LoaderView::parse(&windows))
            }
            Err(RootError::NotRegular(_)) => {
                Candidate::Garbage { reason: "not a regular file".to_owned(), is_64: None }
            }
            Err(error) if error.hides() => Candidate::Absent,
            Err(other) => return Err(other),
        };
        let candidate = Arc::new(candidate);
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone(), Arc::clone(&candidate));
        Ok(candidate)
    }
}

/// A parsed file as a candidate.
fn candidate(file: &dyn Bytes, parsed: Result<LoaderView, Error>) -> Candidate {
    match parsed {
        Ok(view) => Candidate::Object(Arc::new(Object::from(view))),
        Err(error) => {
            let ident = file.read_at(0, 5);
            let is_64 = match ident.as_deref() {
                Some(b"\x7fELF\x01") => Some(false),
                Some(b"\x7fELF\x02") => Some(true),
                _ => None,
            };
            Candidate::Garbage { reason: error.to_string(), is_64 }
        }
    }
}

fn shape(view: &LoaderView) -> Shape {
    match (view.object_type, &view.dynamic) {
        (ObjectType::Executable, _) => Shape::Executable,
        (ObjectType::Shared, Some(dynamic)) if dynamic.is_pie() => Shape::PositionIndependentExecutable,
        (ObjectType::Shared, Some(_)) => Shape::Library,
        _ => Shape::Unloadable,
    }
}

impl From<LoaderView> for Object {
    fn from(view: LoaderView) -> Self {
        let abi = Abi {
            is_64: view.class == Class::Elf64,
            big_endian: view.endian == Endian::Big,
            machine: view.machine.code(),
        };
        let shape = shape(&view);
        let bytes = |name: &Name| name.as_bytes().to_vec();
        let interpreter = view.interpreter.as_ref().map(bytes);
        let dynamic = view.dynamic.unwrap_or_default();
        let dependency = |load: &Load| match load {
            Load::Needed(name) => Dependency::Needed(bytes(name)),
            Load::Filter(name) => Dependency::Filter(bytes(name)),
            Load::Auxiliary(name) => Dependency::Auxiliary(bytes(name)),
        };
        let needed = |n: &crate::elf::NeededVersion| NeededVersion {
            library: bytes(&n.library),
            version: bytes(&n.version),
            weak: n.weak,
        };
        Self {
            abi,
            shape,
            dependencies: dynamic.loads.iter().map(dependency).collect(),
            soname: dynamic.soname.as_ref().map(bytes),
            // An object with both keeps RUNPATH only (`elf_get_dynamic_info`).
            rpath: dynamic.rpath.as_ref().map(bytes),
            runpath: dynamic.runpath.as_ref().map(bytes),
            nodeflib: dynamic.flags_1 & goblin::elf::dynamic::DF_1_NODEFLIB != 0,
            interpreter,
            needed_versions: dynamic.versions.needed.iter().map(needed).collect(),
            defined_versions: dynamic.versions.defined.as_ref().map(|all| all.iter().map(bytes).collect()),
            audit: dynamic.audit.iter().flat_map(|a| a.as_bytes().split(|b| *b == b':').map(<[u8]>::to_vec)).collect(),
            packed_relocations: dynamic.packed_relocations,
        }
    }
}
