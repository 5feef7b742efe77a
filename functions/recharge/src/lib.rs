//! The function `recharge`.
