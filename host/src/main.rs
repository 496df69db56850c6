//! The program `hotbay`; what it does is the library's.

fn main() -> std::process::ExitCode {
    // A process that was started as a probe does nothing else.
    hotbay::probe::entry();
    hotbay::cli::main()
}
