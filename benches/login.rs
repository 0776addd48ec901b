//! Floor 6. x
fn main() {}
