//! Compiles `proto/` in pure Rust: types, clients and servers for every package, and for each a descriptor set.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use protox::Compiler;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?)
        .join("../../proto")
        .canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut files = Vec::new();
    find_protos(&root, &mut files)?;

    let mut compiler = Compiler::new([&root])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(&files)?;
    // Google's error types are those of tonic-types, so that details go through its helpers without a copy.
    tonic_prost_build::configure()
        .bytes(".")
        .extern_path(".google.rpc", "::tonic_types::pb")
        .compile_fds(compiler.file_descriptor_set())?;

    for (package, files) in by_package(&root, &files)? {
        fs::write(out.join(format!("{package}.bin")), descriptor_set(&root, &files)?)?;
    }
    Ok(())
}

/// Finds every `.proto` file below `folder`, in order of its path, and asks cargo to watch all that was seen.
fn find_protos(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            find_protos(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            println!("cargo:rerun-if-changed={}", path.display());
            found.push(path);
        }
    }
    Ok(())
}

/// Groups the files by package, which is their folder with dots.
fn by_package(root: &Path, files: &[PathBuf]) -> Result<BTreeMap<String, Vec<PathBuf>>, Box<dyn Error>> {
    let mut packages = BTreeMap::<_, Vec<_>>::new();
    for file in files {
        let folder = file
            .strip_prefix(root)?
            .parent()
            .ok_or("a proto file outside of a package folder")?;
        let package = folder
            .iter()
            .map(|part| part.to_string_lossy())
            .collect::<Vec<_>>()
            .join(".");
        packages.entry(package).or_default().push(file.clone());
    }
    Ok(packages)
}

/// One package with all it imports, so that reflection shows what a process serves and nothing else.
///
/// Encoded by protox rather than by prost-types, whose structs drop the HTTP annotations.
fn descriptor_set(root: &Path, files: &[PathBuf]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut compiler = Compiler::new([root])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(files)?;
    Ok(compiler.encode_file_descriptor_set())
}
