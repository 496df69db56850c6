use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hotbay_plugin_api::abi::Lent;
use hotbay_plugin_api::prelude::*;

use crate::config;
use crate::kernel::gate::Gate;
use crate::linked::{Bay, LONG, until};

/// Notes when its timer ticks, and holds a tick where it is told to.
struct Ticks {
    context: Context,
    times: Arc<Mutex<Vec<Instant>>>,
    holds: Arc<AtomicBool>,
}

impl Ticks {
    fn ticks(&self) -> impl Fn() -> Result<()> + Send + Sync + 'static {
        let (times, holds) = (Arc::clone(&self.times), Arc::clone(&self.holds));
        move || {
            times.lock().unwrap().push(Instant::now());
            until(|| !holds.load(Ordering::SeqCst));
            Ok(())
        }
    }
}

impl Plugin for Ticks {
    fn create(context: Context) -> Result<Self> {
        Ok(Self { context, times: Arc::default(), holds: Arc::default() })
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        let millis = || request.json().map(Duration::from_millis);
        match request.method() {
            "every" => drop(self.context.every(millis()?, self.ticks())?),
            "after" => drop(self.context.after(millis()?, self.ticks())?),
            "hold" => self.holds.store(request.json()?, Ordering::SeqCst),
            "panic" => {
                self.context.after(Duration::ZERO, || panic!("in a tick"))?;
                self.context.spawn("panics", |_| panic!("in a thread"))?;
            }
            "times" => {
                let times = self.times.lock().unwrap();
                let micros = times.iter().map(|time| (*time - times[0]).as_micros() as u64);
                reply.json(&micros.collect::<Vec<_>>())?;
            }
            "fill" => {
                let set = || self.context.after(Duration::from_secs(3600), || Ok(()));
                let (count, error) = filled(|| set().map(drop));
                reply.json(&(count, error.message()))?;
            }
            "spawn" => {
                let spawn = || {
                    self.context.spawn("waits", |stop| {
                        while !stop.wait(LONG) {}
                        Ok(())
                    })
                };
                let (count, error) = filled(|| spawn().map(drop));
                reply.json(&(count, error.message()))?;
            }
            "wrong" => {
                let topic = |topic| self.context.publish_after(Duration::ZERO, &Outgoing::new(topic, b""));
                let errors = [
                    self.context.every(Duration::ZERO, || Ok(())).unwrap_err(),
                    topic("a.*").unwrap_err(),
                    topic("a..b").unwrap_err(),
                    self.context.spawn("", |_| Ok(())).unwrap_err(),
                ];
                reply.json(&errors.map(|error| error.message().to_owned()))?;
            }
            _ => return Err(request.unknown_method()),
        }
        Ok(())
    }

    fn stop(&self) -> Result<()> {
        // It is being stopped: nothing begins any more.
        assert!(self.context.spawn("late", |_| Ok(())).is_err());
        assert!(self.context.after(Duration::ZERO, || Ok(())).is_err());
        Ok(())
    }
}

/// How often it went well, and why no more.
fn filled(mut one: impl FnMut() -> Result<()>) -> (u64, Error) {
    let mut count = 0;
    loop {
        match one() {
            Ok(()) => count += 1,
            Err(error) => return (count, error),
        }
    }
}

hotbay_plugin_api::export_plugin!(Ticks { name: "ticks", version: "1.0.0" });

fn call<T: serde::de::DeserializeOwned + Default>(bay: &Bay, method: &str, request: &str) -> T {
    let mut reply = Vec::new();
    bay.registry.call("ticks", method, request.as_bytes(), Lent::new(&mut reply).out()).unwrap();
    if reply.is_empty() { T::default() } else { serde_json::from_slice(&reply).unwrap() }
}

fn times(bay: &Bay) -> Vec<u64> {
    call(bay, "times", "")
}

#[test]
fn a_tick_that_finds_a_closed_gate_comes_when_it_opens() {
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Ticks>();
    let gate = Arc::new(Gate::default());
    call::<()>(&bay, "after", "20");
    let opening = gate.opening();
    let _ = slot.close(&gate);
    // The clock has been there by then, however late this thread is.
    let begun = Instant::now();
    until(|| begun.elapsed() > Duration::from_millis(80));
    let _ = slot.publish(Arc::clone(&generation));
    drop(opening);
    until(|| times(&bay).len() == 1);
    until(|| generation.plugin.given().timers == 0);
    crate::start::stop(&generation, LONG).unwrap();
}

#[test]
fn a_guarded_service_ticks() {
    let bay = Bay::new();
    let limited = config::Service { max_concurrent: Some(8), ..config::Service::default() };
    bay.slot("ticks").guard().set(limited, None);
    let (slot, generation) = bay.serve::<Ticks>();
    assert!(slot.is_guarded());
    call::<()>(&bay, "every", "1");
    until(|| times(&bay).len() > 1);
    crate::start::stop(&generation, LONG).unwrap();
}

#[test]
fn the_loop_is_told_of_ticks_and_threads_that_panic() {
    let bay = Bay::new();
    let (_slot, generation) = bay.serve::<Ticks>();
    call::<()>(&bay, "panic", "");
    until(|| generation.alarm.panicked() == 2);
    assert!(generation.alarm.is_raised());
    crate::start::stop(&generation, LONG).unwrap();
}

#[test]
fn ticks_that_were_missed_are_not_made_up_for() {
    const PERIOD: u64 = 10;
    let bay = Bay::new();
    let (_slot, generation) = bay.serve::<Ticks>();
    call::<()>(&bay, "hold", "true");
    call::<()>(&bay, "every", &PERIOD.to_string());
    until(|| times(&bay).len() == 1);
    let begun = Instant::now();
    until(|| begun.elapsed() > Duration::from_millis(10 * PERIOD));
    assert_eq!(times(&bay).len(), 1, "one at a time");
    call::<()>(&bay, "hold", "false");
    until(|| times(&bay).len() >= 8);
    let times = times(&bay);
    for three in times[1..].windows(3) {
        assert!(three[2] - three[0] >= PERIOD * 1000 / 2, "they come one upon the other: {times:?}");
    }
    crate::start::stop(&generation, LONG).unwrap();
    assert_eq!(generation.plugin.given().timers, 0);
}

#[test]
fn there_is_a_bound_to_timers_and_threads_and_all_end_at_the_stop() {
    let bay = Bay::new();
    let (_slot, generation) = bay.serve::<Ticks>();
    let (timers, error): (u64, String) = call(&bay, "fill", "");
    assert_eq!(
        (timers, error.as_str()),
        (1024, "set a timer: the plugin has 1024 timers, which is the most; cancel some")
    );
    let (threads, error): (u64, String) = call(&bay, "spawn", "");
    assert_eq!(
        (threads, error.as_str()),
        (64, "start thread `waits`: the plugin has 64 threads, which is the most")
    );
    let given = generation.plugin.given();
    assert_eq!((given.timers, given.threads.len(), given.panics), (1024, 64, 0));
    crate::start::stop(&generation, LONG).unwrap();
    let given = generation.plugin.given();
    assert_eq!((given.timers, given.threads.len(), given.panics), (0, 0, 0));
}

#[test]
fn what_cannot_be_meant_is_refused_in_words() {
    let bay = Bay::new();
    let (_slot, generation) = bay.serve::<Ticks>();
    let errors: Vec<String> = call(&bay, "wrong", "");
    assert_eq!(errors[0], "set a timer: 1 ms is the shortest period");
    assert_eq!(errors[1], "set a timer: `a.*` is a pattern, and messages go to topics");
    assert!(errors[2].starts_with("failed to read the pattern `a..b`"), "{errors:?}");
    assert!(errors[3].contains("a name is of 1 to 64 bytes"), "{errors:?}");
    crate::start::stop(&generation, LONG).unwrap();
}
