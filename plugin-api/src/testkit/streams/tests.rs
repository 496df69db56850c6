use crate::abi::Status;
use crate::prelude::*;
use crate::testkit::TestHost;

/// Counts, echoes, and sums up what another service streams.
struct Counts(Context);

impl Plugin for Counts {
    fn create(context: Context) -> Result<Self> {
        Ok(Self(context))
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        let stream = self.0.open_stream("numbers", request.method(), request.bytes())?;
        let mut sum = 0;
        while let Some(number) = stream.next_json::<u64>()? {
            sum += number;
            stream.send(b"more")?;
        }
        reply.json(&sum)
    }

    fn on_stream(&self, request: Request<'_>, stream: &Stream) -> Result<()> {
        match request.method() {
            "count" => {
                let mut next = match stream.resumed() {
                    Some(resumed) => serde_json::from_slice(&resumed.token)?,
                    None => request.json::<u64>()?,
                };
                loop {
                    stream.send_json(&next)?;
                    next += 1;
                    stream.resume_with(next.to_string().as_bytes())?;
                }
            }
            "echo" => {
                let mut item = Vec::new();
                while stream.next_into(&mut item)? {
                    stream.send(&item)?;
                    item.clear();
                }
                Ok(())
            }
            "waits" => {
                while !self.0.is_cancelled() {
                    std::thread::yield_now();
                }
                Err(Error::msg("go on for nobody"))
            }
            _ => panic!("no such luck"),
        }
    }
}

crate::export_plugin!(Counts {
    name: "counts",
    methods: &["sum", "other"],
    streams: &["count", "echo", "waits", "panics"],
    resumable: &["count"],
});

#[test]
fn a_stream_goes_on_in_the_next_version_where_the_one_before_left_it() {
    let first = TestHost::new().start::<Counts>().unwrap();
    let stream = first.open_stream("count", b"7").unwrap();
    assert_eq!(stream.next().unwrap().unwrap(), b"7");
    let left = stream.move_on().unwrap();
    let mut next = 8;
    while let Ok(Some(item)) = stream.next() {
        assert_eq!(item, next.to_string().as_bytes());
        next += 1;
    }
    assert_eq!((left.sent, &left.token[..]), (next - 7, next.to_string().as_bytes()));
    assert_eq!(stream.ended().unwrap_err().status(), Status::MOVED);
    let second = TestHost::new().start::<Counts>().unwrap();
    let stream = second.resume_stream("count", b"7", left).unwrap();
    assert_eq!(stream.next().unwrap().unwrap(), next.to_string().as_bytes());
}

#[test]
fn both_ways_are_a_tests_to_use_and_what_the_handler_came_to_is_told() {
    let counts = TestHost::new().start::<Counts>().unwrap();
    let echo = counts.open_stream("echo", b"").unwrap();
    for item in [&b"a"[..], b"", b"c"] {
        echo.send(item).unwrap();
        assert_eq!(echo.next().unwrap().unwrap(), item);
    }
    echo.finish();
    assert_eq!(echo.next().unwrap(), None);
    echo.ended().unwrap();
    let panicked = counts.open_stream("panics", b"").unwrap().ended().unwrap_err();
    assert_eq!((panicked.status(), panicked.message()), (Status::PANICKED, "no such luck"));
    assert!(counts.open_stream("sum", b"").unwrap_err().message().contains("declares no such stream"));
}

#[test]
fn a_handler_is_told_when_the_test_lets_go_and_when_the_plugin_stops() {
    let counts = TestHost::new().start::<Counts>().unwrap();
    drop(counts.open_stream("waits", b"").unwrap());
    let waits = counts.open_stream("waits", b"").unwrap();
    let counted = counts.open_stream("count", b"0").unwrap();
    drop(counts);
    assert_eq!(waits.ended().unwrap_err().status(), Status::MOVED);
    assert_eq!(counted.ended().unwrap_err().status(), Status::MOVED);
}

#[test]
fn a_test_handles_what_the_plugin_opens() {
    let host = TestHost::new().with_stream("numbers", "sum", |request, stream| {
        for number in 0..serde_json::from_slice::<u64>(request)? {
            stream.send(number.to_string().as_bytes())?;
            assert_eq!(stream.next()?.unwrap(), b"more");
        }
        Ok(())
    });
    let counts = host.start::<Counts>().unwrap();
    assert_eq!(counts.call("sum", b"5").unwrap(), b"10");
    let error = counts.call("other", b"5").unwrap_err();
    assert!(error.message().contains("open stream `other` of service `numbers`"), "{error}");
}
