//! Prints the store's benchmark as JSON: `cargo run --release -p store --example bench DIR`.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args_os().nth(1).map(PathBuf::from).ok_or("name a directory")?;
    let report = store::bench::run(&dir, &store::bench::Plan::default())?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
