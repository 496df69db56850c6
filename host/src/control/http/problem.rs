//! A problem: why there is no answer, as HTTP says it and as the command line does.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;

use crate::control::exit::Exit;
use crate::control::protocol::Failure;
use crate::error::{Blame, Code};

/// Told as RFC 9457 has it, with the code and who can mend it.
#[derive(Debug)]
pub(super) struct Problem(pub(super) Failure);

/// What stands in the body of an answer that is not what was asked for.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct Told<'a> {
    /// As in the answer's head.
    status: u16,
    /// What kind of trouble it is, in a few words.
    title: &'a str,
    /// What happened, and what to do; of a plugin's own error its words.
    detail: &'a str,
    /// The code: `HB0204`, which `hotbay explain` knows.
    code: Option<&'a str>,
    /// Who can mend it.
    blame: Option<Blame>,
    /// When to ask again, milliseconds; not there where nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl Problem {
    pub(super) fn new(exit: Exit, code: Code, message: impl Into<String>) -> Self {
        Self(Failure::new(exit, code, message))
    }

    fn code(&self) -> Option<Code> {
        self.0.code.as_deref().and_then(|code| code.parse().ok())
    }

    /// By its code where that says more than how a command would end.
    pub(super) fn status(&self) -> u16 {
        let by_code = self.code().and_then(|code| match code {
            Code::HttpNoToken => Some(401),
            Code::HttpForeign | Code::TopicReserved => Some(403),
            Code::HttpNoRoute => Some(404),
            Code::HttpMethod => Some(405),
            Code::HttpTooSlow => Some(408),
            Code::HttpTooLarge => Some(413),
            // The plugin answered, with an error: who stands between it and the client is well.
            Code::CallFailed | Code::CallPanicked => Some(502),
            Code::NotRunning | Code::CallRefused | Code::PublishRefused | Code::Stopping => Some(503),
            Code::HttpBusy | Code::TooManyFollowers => Some(503),
            Code::BreakerOpen | Code::TooManyInside => Some(503),
            Code::TooFast => Some(429),
            Code::TooManyHops | Code::MessageCircle => Some(508),
            _ => None,
        });
        by_code.unwrap_or(match self.0.exit {
            Exit::Usage => 400,
            Exit::NotFound => 404,
            Exit::Refused | Exit::RolledBack => 409,
            Exit::TimedOut => 504,
            Exit::Unreachable => 503,
            Exit::Ok | Exit::Failed => 500,
        })
    }

    /// Seconds until it is worth to ask again, of which HTTP knows whole ones only: a second where nobody knows.
    fn retry_after(&self) -> u64 {
        self.0.retry_after_ms.map_or(1, |ms| ms.div_ceil(1000).max(1))
    }

    pub(super) fn told(&self) -> Told<'_> {
        let title = self.code().map_or("It failed", |code| code.explanation().title);
        let Failure { message, code, blame, retry_after_ms, .. } = &self.0;
        Told {
            status: self.status(),
            title,
            detail: message,
            code: code.as_deref(),
            blame: *blame,
            retry_after_ms: *retry_after_ms,
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Plain data: what cannot be written as JSON is not in it.
        let body = serde_json::to_vec(&self.told()).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(RETRY_AFTER, HeaderValue::from(self.retry_after()));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CallError;

    #[test]
    fn each_failure_has_a_status_that_says_whose_turn_it_is() {
        let status = |exit, code| Problem::new(exit, code, "").status();
        assert_eq!(status(Exit::NotFound, Code::NoSuchService), 404);
        assert_eq!(status(Exit::Failed, Code::CallFailed), 502);
        assert_eq!(status(Exit::TimedOut, Code::CallTimedOut), 504);
        assert_eq!(status(Exit::RolledBack, Code::CallbackFailed), 409);
        assert_eq!(status(Exit::Refused, Code::NotRunning), 503);
        assert_eq!(status(Exit::Refused, Code::BreakerOpen), 503);
        assert_eq!(status(Exit::Refused, Code::TooFast), 429);
        assert_eq!(status(Exit::Usage, Code::SubjectWrong), 400);
        assert_eq!(status(Exit::Usage, Code::TopicReserved), 403);
        assert_eq!(status(Exit::Failed, Code::Defect), 500);
        // Of every code it is one that tells of trouble.
        for code in Code::ALL {
            assert!((400..600).contains(&status(Exit::Failed, *code)), "{code}");
        }
    }

    #[test]
    fn when_to_ask_again_is_told_in_the_head_and_to_the_millisecond() {
        let of = |ms| {
            let retry_after = std::time::Duration::from_millis(ms);
            let error = CallError::TooFast { service: "echo".to_owned(), per_second: 1, retry_after };
            Problem::from(Failure::from(error))
        };
        assert_eq!(serde_json::to_value(of(2300).told()).unwrap()["retry_after_ms"], 2300);
        for (ms, seconds) in [(2300, "3"), (20, "1"), (2000, "2")] {
            assert_eq!(of(ms).into_response().headers()[RETRY_AFTER], seconds);
        }
        let unknown = Problem::new(Exit::Refused, Code::NotRunning, "it does not run");
        assert!(serde_json::to_value(unknown.told()).unwrap().get("retry_after_ms").is_none());
        assert_eq!(unknown.into_response().headers()[RETRY_AFTER], "1");
    }

    #[test]
    fn a_breaker_that_somebody_holds_open_is_for_the_operator_to_mend() {
        let blame = |retry_after| {
            let (service, why) = ("echo".to_owned(), "it is held open".to_owned());
            Failure::from(CallError::BreakerOpen { service, why, retry_after }).blame
        };
        assert_eq!(blame(None), Some(Blame::Operator));
        assert_eq!(blame(Some(std::time::Duration::from_secs(1))), Some(Blame::Plugin));
    }

    #[test]
    fn a_problem_says_what_the_command_line_says() {
        let error = CallError::Failed { service: "echo".to_owned(), text: "no such thing".to_owned() };
        let problem = Problem::from(Failure::from(error));
        let told = serde_json::to_value(problem.told()).unwrap();
        assert_eq!((&told["status"], &told["code"]), (&502.into(), &"HB0704".into()));
        assert_eq!((&told["detail"], &told["blame"]), (&"no such thing".into(), &"plugin".into()));
    }
}
