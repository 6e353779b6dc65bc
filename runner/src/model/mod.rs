//! The vocabulary that all rooms share. It imports nothing from them.

pub mod code;
