//! The program `waft`. Everything it does is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    waft::run(std::env::args_os())
}
