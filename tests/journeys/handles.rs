//! A handle: one look-up, many calls, through all that happens to its service.

use std::time::Duration;

use hotbay::kernel::view::Phase;
use hotbay::{Buffer, CallError, Handle, Method};
use hotbay_tests::{Hosted, PATIENCE, eventually, example};

fn ask(handle: &Handle, method: &str) -> Result<String, CallError> {
    let (mut inline, mut through_lane) = (Vec::new(), Vec::new());
    let inline_outcome = handle.call(method, b"hello", &mut inline);
    handle.request(method, b"hello", &mut through_lane, PATIENCE)?;
    inline_outcome?;
    Ok(String::from_utf8(if method == "echo" { inline } else { through_lane }).unwrap())
}

/// Twice: by name, and by what was learnt then.
fn in_hand(method: &Method) -> Result<String, CallError> {
    let mut reply = Buffer::new();
    method.call(b"hel", &mut reply)?;
    reply.clear();
    method.call(b"hello", &mut reply)?;
    Ok(String::from_utf8(reply.into_vec()).unwrap())
}

#[test]
fn a_handle_follows_its_service_through_swap_stop_start_removal_and_return() {
    let hosted = Hosted::start();
    hosted.live("echo", &example("echo"), "1.0.0");
    let handle = hosted.host().handle("echo").unwrap();
    assert_eq!((handle.name(), ask(&handle, "echo").unwrap().as_str()), ("echo", "hello"));

    let method = handle.method("echo");
    assert_eq!((method.service(), method.name()), ("echo", "echo"));
    assert_eq!(in_hand(&method).unwrap(), "hello");

    hosted.live("echo", &example("echo_v2"), "2.0.0");
    ask(&handle, "echo").unwrap();
    assert_eq!(in_hand(&method).unwrap(), "hello");

    hosted.host().stop_service("echo", false, PATIENCE).unwrap();
    for stopped in [ask(&handle, "echo").unwrap_err(), in_hand(&method).unwrap_err()] {
        assert!(matches!(stopped, CallError::NotRunning { phase: Phase::Stopped, .. }), "{stopped:?}");
    }
    hosted.host().start_service("echo", false, PATIENCE).unwrap();
    ask(&handle, "echo").unwrap();

    assert_eq!(in_hand(&method).unwrap(), "hello");

    hosted.host().remove("echo", PATIENCE).unwrap();
    eventually("the name is forgotten", || hosted.host().handle("echo").is_err().then_some(()));
    for removed in [ask(&handle, "echo").unwrap_err(), in_hand(&method).unwrap_err()] {
        assert!(matches!(removed, CallError::NotRunning { .. }), "{removed:?}");
    }
    hosted.live("echo", &example("echo_v2"), "2.0.0");
    ask(&handle, "echo").unwrap();
    assert_eq!(in_hand(&method).unwrap(), "hello");
}

#[test]
fn a_handle_of_a_host_that_ended_says_so_and_keeps_nothing_running() {
    let (handle, method) = {
        let hosted = Hosted::start();
        hosted.live("echo", &example("echo"), "1.0.0");
        let handle = hosted.host().handle("echo").unwrap();
        ask(&handle, "echo").unwrap();
        let method = handle.method("echo");
        in_hand(&method).unwrap();
        (handle, method)
    };
    for outcome in [in_hand(&method).map(drop), handle.call("echo", b"", &mut Vec::new()), {
        handle.request("echo", b"", &mut Vec::new(), Duration::from_millis(100))
    }] {
        assert!(matches!(outcome, Err(CallError::NotRunning { .. })), "{outcome:?}");
    }
}

#[test]
fn a_handle_of_nothing_is_refused_with_what_there_is() {
    let hosted = Hosted::start();
    hosted.live("echo", &example("echo"), "1.0.0");
    let error = hosted.host().handle("ecko").unwrap_err();
    assert!(matches!(&error, CallError::NoSuchService { known, .. } if known == &["echo"]), "{error:?}");
}
