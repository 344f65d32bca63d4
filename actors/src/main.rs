//! The service: composition only.

fn main() {}
