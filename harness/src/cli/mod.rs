//! The command line.

/// Parses the arguments, does what they say, and returns the exit code of the contract: 0 every
/// expectation met, 1 one missed, 2 usage or scenario wrong, 3 nothing proved, 4 the stack failed.
pub fn main() -> std::process::ExitCode {
    unimplemented!("H7")
}
