//! Build script of every program: how it is linked when it is built to be used. It compiles nothing, and says nothing of
//! libraries, examples or tests.

#![allow(clippy::print_stdout, reason = "so a build script speaks to cargo")]

fn main() {
    // Nothing but this file changes what it says.
    println!("cargo::rerun-if-env-changed=CARGO_CFG_TARGET_OS");
    let is = |name: &str, value: &str| std::env::var_os(name).is_some_and(|found| found == value);
    // Test builds are linked anew all day, for which mold is quicker; and functions that share code would stand under wrong names
    // in their backtraces. Rust brings lld for this architecture alone.
    if !(is("PROFILE", "release")
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ARCH", "x86_64"))
    {
        return;
    }
    // Rust's own lld: the mold of Debian 12 packs relocations without saying that the C library has to know of it, which that
    // library refuses.
    println!("cargo::rustc-link-arg-bins=-fuse-ld=lld");
    // Relative relocations as a map of bits: kilobytes where the list of them takes one to four megabytes. The C library of Debian 12
    // and later reads it.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    // One copy of functions whose machine code is the same, as generic ones often are for types of one size.
    println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
}
