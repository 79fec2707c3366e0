//! Compiles `proto/` with protox: no protoc on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto");
    let files = [
        "sojourn/log/v1/log.proto",
        "sojourn/channel/v1/channel.proto",
        "sojourn/ingest/v1/ingest.proto",
        "sojourn/admin/v1/admin.proto",
    ];
    println!("cargo:rerun-if-changed={root}");
    let descriptors = protox::compile(files, [root])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(
        out.join("descriptors.bin"),
        protox::prost::Message::encode_to_vec(&descriptors),
    )?;
    tonic_prost_build::configure()
        .bytes(".sojourn.log.v1")
        .bytes(".sojourn.ingest.v1")
        .compile_fds(descriptors)?;
    Ok(())
}
