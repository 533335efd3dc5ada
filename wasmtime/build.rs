// Copies the C headers that belong to the linked Wasmtime into $WASMTIME_HEADERS, so that headers
// and library can't come from two versions.
use std::{env, fs, io, path::Path};

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

fn main() {
    println!("cargo:rerun-if-env-changed=WASMTIME_HEADERS");
    let to = env::var("WASMTIME_HEADERS").expect("WASMTIME_HEADERS names the folder for the headers");
    let from = env::var("DEP_WASMTIME_C_API_INCLUDE").expect("the crate tells where its headers are");
    for folder in env::split_paths(&from) {
        copy_tree(&folder, Path::new(&to)).expect("headers can be copied");
    }
}
