//! The program `waft`. Everything it does is in the library beside it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    waft::run(std::env::args_os())
}
