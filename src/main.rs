//! The one binary; everything is in the library.

/// Many short-lived JSON values on many threads: the system's allocator is slower, and keeps more of what was freed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    mozhao::cli::main()
}
