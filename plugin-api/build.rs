//! Notes the compiler and the target, so that each plugin's manifest says what built it.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=HOTBAY_TOOLCHAIN={}", version.trim());
    println!("cargo::rustc-env=HOTBAY_TARGET={}", std::env::var("TARGET").unwrap_or_default());
}
