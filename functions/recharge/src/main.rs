//! The Lambda function `recharge`.

fn main() {}
