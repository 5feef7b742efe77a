//! The function `reconcile`.
