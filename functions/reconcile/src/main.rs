//! The Lambda function `reconcile`.

fn main() {}
