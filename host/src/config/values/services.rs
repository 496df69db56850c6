//! The settings of services, each by its dotted key.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Breaker, Http, Service, Supervision};

/// Those of a service.
pub(super) fn of_service(name: &str, of: &Service) -> Vec<(String, Value)> {
    let Service {
        lanes,
        mailbox,
        messages,
        message_bytes,
        max_streams,
        when_full,
        when_stopped,
        store,
        http: Http { hosts, private },
        when_dependency_stops,
        deadline,
        max_concurrent,
        max_rate,
        max_burst,
        retries,
        retry_pause,
        breaker,
        supervision,
    } = of;
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let mut all = vec![
        ("lanes", json!(lanes)),
        ("mailbox", json!(mailbox)),
        ("messages", json!(messages)),
        ("message_bytes", json!(message_bytes)),
        ("max_streams", json!(max_streams)),
        ("when_full", json!(when_full)),
        ("when_stopped", json!(when_stopped)),
        ("store", json!(store)),
        ("http.hosts", json!(hosts)),
        ("http.private", json!(private)),
        ("when_dependency_stops", json!(when_dependency_stops)),
        ("deadline_ms", deadline.as_ref().map_or(Value::Null, ms)),
        ("max_concurrent", json!(max_concurrent)),
        ("max_rate", json!(max_rate)),
        ("max_burst", json!(max_burst)),
        ("retries", json!(retries)),
        ("retry_pause_ms", ms(retry_pause)),
    ];
    if let Some(Breaker { error_rate, min_calls, window, open, trials }) = breaker {
        all.extend([
            ("breaker.error_rate", json!(error_rate)),
            ("breaker.min_calls", json!(min_calls)),
            ("breaker.window_ms", ms(window)),
            ("breaker.open_ms", ms(open)),
            ("breaker.trials", json!(trials)),
        ]);
    }
    let mut all = under(&format!("service.{name}"), all);
    if let Some(supervision) = supervision {
        all.extend(of_supervision(&format!("service.{name}.supervision"), supervision));
    }
    all
}

/// Those of `[supervision]`, or of a service's own.
pub(super) fn of_supervision(around: &str, of: &Supervision) -> Vec<(String, Value)> {
    let Supervision {
        panics,
        hang,
        max_error_rate,
        min_calls,
        error_window,
        max_restarts,
        window,
        backoff,
        max_backoff,
    } = of;
    let all = vec![
        ("panics", json!(panics)),
        ("hang_ms", ms(hang)),
        ("max_error_rate", json!(max_error_rate)),
        ("min_calls", json!(min_calls)),
        ("error_window_ms", ms(error_window)),
        ("max_restarts", json!(max_restarts)),
        ("window_ms", ms(window)),
        ("backoff_ms", ms(backoff)),
        ("max_backoff_ms", ms(max_backoff)),
    ];
    under(around, all)
}

pub(super) fn ms(time: &Duration) -> Value {
    json!(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn under(around: &str, all: Vec<(&str, Value)>) -> Vec<(String, Value)> {
    all.into_iter().map(|(key, value)| (format!("{around}.{key}"), value)).collect()
}
