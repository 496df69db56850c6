//! The program `hotbay`; what it does is the library's.

fn main() -> std::process::ExitCode {
    // A process that was started as a probe does nothing else.
    hotbay::probe::entry();
    #[cfg(feature = "fault-injection")]
    let _faults = hotbay::fault::from_environment();
    hotbay::cli::main()
}
