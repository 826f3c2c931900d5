//! Says where LibTorch is found at run time, and compiles what asks it for the memory of its devices. Nothing without the
//! feature `torch`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "torch")]
    libtorch::link();
}

#[cfg(feature = "torch")]
mod libtorch {
    use std::path::Path;

    pub(super) fn link() {
        println!("cargo::rerun-if-env-changed=LIBTORCH");
        println!("cargo::rerun-if-changed=src/ffi/memory.cpp");
        let Some(root) = std::env::var_os("LIBTORCH") else {
            println!("cargo::error=LIBTORCH is not set: `make video` installs LibTorch and builds this");
            return;
        };
        let root = Path::new(&root);
        let version = std::fs::read_to_string(root.join("build-version")).unwrap_or_default();
        println!("cargo::rustc-env=TORCH_VERSION={}", version.trim());
        cc::Build::new()
            .cpp(true)
            .std("c++20")
            .warnings(false)
            .include(root.join("include"))
            .file("src/ffi/memory.cpp")
            .compile("polyphony_memory");
        println!("cargo::rustc-link-search=native={}", root.join("lib").display());
        println!("cargo::rustc-link-lib=dylib=c10");
        // Where `make video` puts both; then where it was at build time, for tests. LD_LIBRARY_PATH comes before either,
        // so that the same binary runs on a LibTorch with CUDA.
        for folder in [
            "$ORIGIN/../libtorch/lib".to_owned(),
            root.join("lib").display().to_string(),
        ] {
            println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
        }
    }
}
