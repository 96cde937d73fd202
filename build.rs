//! Compiles the protobuf definitions without `protoc`: protox is a compiler in Rust, so a fresh machine needs nothing.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=src/wire/session.proto");
    let descriptors = protox::compile(["src/wire/session.proto"], ["src/wire"])?;
    tonic_prost_build::configure().bytes(".").btree_map(".").compile_fds(descriptors)?;
    Ok(())
}
