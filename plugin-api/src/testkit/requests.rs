//! Requests by topic in tests: a test answers what the plugin asks, and asks what it answers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::messages::with_message;
use super::{Running, TestHost, given, host, streams};
use crate::abi::{
    ANSWERS_EXTENSION, DEADLINE_EXTENSION, DeadlineExtension, ExtensionPtr, HostHandle, Lent,
    REQUESTS_EXTENSION, RawBuffer, RawOutgoing, RequestsExtension, Status,
};
use crate::{Error, Export, Result};

type Answerer = Box<dyn Fn(&[u8]) -> Result<Vec<u8>> + Send + Sync>;

/// What a test host knows of requests.
#[derive(Default)]
pub(super) struct Requests {
    answers: BTreeMap<String, Answerer>,
    remaining: Option<Duration>,
}

impl TestHost {
    /// Adds somebody who answers requests of a topic.
    #[must_use]
    pub fn with_answer(
        mut self,
        topic: &str,
        answer: impl Fn(&[u8]) -> Result<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        self.requests.answers.insert(topic.to_owned(), Box::new(answer));
        self
    }

    /// Who asks the plugin waits for so long, at any moment; where that is nothing, it has given up.
    #[must_use]
    pub fn with_remaining(mut self, remaining: Duration) -> Self {
        self.requests.remaining = Some(remaining);
        self
    }
}

impl<P: Export> Running<P> {
    /// Asks the plugin by topic, whatever `answers` it declares.
    ///
    /// # Errors
    /// The plugin declares no `answers`, or its `on_request` fails or panics.
    pub fn ask(&self, topic: &str, headers: &[(&str, &str)], payload: &[u8]) -> Result<Vec<u8>> {
        let (id, revision) = ANSWERS_EXTENSION;
        // SAFETY: it was asked for in these words, and the table is this program's own.
        let table = unsafe { (self.module.extension())(id.into(), revision).as_answers() };
        let table = table.ok_or_else(|| Error::msg("ask by topic: the plugin declares no `answers`"))?;
        let mut answer = Vec::new();
        let mut lent = Lent::new(&mut answer);
        let status = with_message(topic, headers, payload, |message| {
            // SAFETY: A2; it stays where it is.
            (table.answer)(self.instance, message, unsafe { lent.out().into_raw() })
        });
        if status != Status::OK {
            return Err(Error::with_status(status, lent.out().take_words(0)));
        }
        drop(lent);
        Ok(answer)
    }
}

static REQUESTS: RequestsExtension = RequestsExtension { request };
static DEADLINE: DeadlineExtension = DeadlineExtension { remaining_ns, is_cancelled };

pub(super) fn extension(id: &str, revision: u32) -> ExtensionPtr {
    match (id, revision) {
        REQUESTS_EXTENSION => ExtensionPtr::of_requests(&REQUESTS),
        DEADLINE_EXTENSION => ExtensionPtr::of_deadline(&DEADLINE),
        _ => given::extension(id, revision),
    }
}

extern "C" fn request(handle: HostHandle, outgoing: &RawOutgoing<'_>, reply: &mut RawBuffer) -> Status {
    let topic = outgoing.topic.as_str();
    let Some(answer) = host(handle).requests.answers.get(topic) else {
        let _ = reply.write(format!("find who answers `{topic}`: give it to the test host").as_bytes());
        return Status::NO_SUCH_SERVICE;
    };
    match answer(outgoing.payload.as_slice()) {
        Ok(bytes) if reply.write(&bytes) => Status::OK,
        Ok(_) => Status::FAILED,
        Err(failure) => {
            let _ = reply.write(failure.message().as_bytes());
            failure.status()
        }
    }
}

extern "C" fn remaining_ns(handle: HostHandle) -> u64 {
    let nanos = |left: Duration| u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
    host(handle).requests.remaining.map_or(u64::MAX, nanos)
}

extern "C" fn is_cancelled(handle: HostHandle) -> bool {
    streams::is_over() || host(handle).requests.remaining.is_some_and(|left| left.is_zero())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::abi::Status;
    use crate::prelude::*;
    use crate::testkit::TestHost;

    /// Answers by what others answer.
    struct Asks(Context);

    impl Plugin for Asks {
        fn create(context: Context) -> Result<Self> {
            Ok(Self(context))
        }

        fn call(&self, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
            Err(request.unknown_method())
        }

        fn on_request(&self, request: &Message<'_>, reply: &mut Reply<'_>) -> Result<()> {
            if self.0.is_cancelled() {
                return Err(Error::msg("answer somebody who has gone"));
            }
            let left = self.0.remaining().unwrap_or(Duration::from_secs(1));
            reply.write(&self.0.request("prices.of", request.bytes(), left)?)
        }
    }

    crate::export_plugin!(Asks { name: "asks", answers: &["orders.price"] });

    #[test]
    fn what_a_plugin_asks_and_what_it_answers_is_a_tests_to_say() {
        let asks = TestHost::new().with_answer("prices.of", |of| Ok([b"7 for ", of].concat()));
        let asks = asks.with_remaining(Duration::from_millis(5)).start::<Asks>().unwrap();
        assert_eq!(asks.ask("orders.price", &[], b"tea").unwrap(), b"7 for tea");
        let error = TestHost::new().start::<Asks>().unwrap().ask("orders.price", &[], b"tea").unwrap_err();
        assert!(error.message().contains("find who answers `prices.of`"), "{error}");
        assert_eq!(error.status(), Status::FAILED, "what was asked for is there; what it asked for is not");
        let late = TestHost::new().with_remaining(Duration::ZERO).start::<Asks>().unwrap();
        assert!(late.ask("orders.price", &[], b"tea").unwrap_err().message().contains("who has gone"));
    }
}
