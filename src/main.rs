//! Floor 6. The binary.
fn main() {}
