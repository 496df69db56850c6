//! Topics that a thread published to lately, with where they lead to: who publishes to the same few finds none of them twice, and shares nothing
//! with other threads on the way.

use std::cell::Cell;
use std::sync::Arc;

use super::route::Route;
use super::topics::Topic;

/// As many are kept, each at the one place that its name leads to.
const PLACES: usize = 4;

/// A topic, as the subscriptions of one bus were at this version.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) run: u64,
    pub(super) version: u64,
    pub(super) topic: Arc<Topic>,
    pub(super) route: Arc<Route>,
}

thread_local! {
    static LATELY: [Cell<Option<Found>>; PLACES] = const { [const { Cell::new(None) }; PLACES] };
}

/// Touches what a thread keeps here, which it need not do later.
pub(super) fn settle() {
    let _ = LATELY.try_with(|_| ());
}

fn place_of(topic: &str) -> usize {
    (topic.len() + usize::from(topic.as_bytes().last().copied().unwrap_or(0))) % PLACES
}

/// Takes out what this thread found of a topic, if it holds still. What comes out of it meanwhile looks anew.
pub(super) fn take(run: u64, version: u64, topic: &str) -> Option<Found> {
    let found = LATELY.try_with(|lately| lately[place_of(topic)].take()).ok().flatten()?;
    let holds = found.version == version && found.run == run && *found.topic.name == *topic;
    (holds && !found.topic.is_forgotten()).then_some(found)
}

/// Keeps it for the next time.
pub(super) fn keep(found: Found) {
    let _ = LATELY.try_with(|lately| lately[place_of(&found.topic.name)].set(Some(found)));
}
