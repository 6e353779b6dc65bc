// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `vfiospec` binary; everything it does is in the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    vfiospec::main()
}
