//! Spans that are open in this library.
//!
//! All memory is given back when the last of them closes: what a library's statics own when it is unloaded stays for ever.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::Metadata;
use tracing::span::{Attributes, Id, Record};

use super::{Field, Fields};

/// So many spans that are entered on one thread are told of; what is said deeper is told within these.
pub(super) const DEEP: usize = 16;

thread_local! {
    // Numbers of the spans that are entered here, the outermost first, and how many there are. Without a destructor, which would pin the
    // library.
    static HERE: Cell<(usize, [u64; DEEP])> = const { Cell::new((0, [0; DEEP])) };
}

pub(super) struct Spans(Mutex<Open>);

struct Open {
    last: u64,
    spans: BTreeMap<u64, Span>,
}

struct Span {
    metadata: &'static Metadata<'static>,
    parent: Option<u64>,
    fields: Vec<Field>,
    holders: usize,
}

/// A span that something was said within.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Within {
    pub(crate) name: &'static str,
    pub(crate) fields: Vec<Field>,
}

impl Spans {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Open { last: 0, spans: BTreeMap::new() }))
    }

    pub(super) fn open(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let parent = match attributes.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if attributes.is_contextual() => innermost(),
            None => None,
        };
        let mut open = self.lock();
        open.last += 1;
        let number = open.last;
        // It is kept for as long as what it is within is told with it.
        if let Some(around) = parent.and_then(|parent| open.spans.get_mut(&parent)) {
            around.holders += 1;
        }
        let metadata = attributes.metadata();
        open.spans.insert(number, Span { metadata, parent, fields: fields.others, holders: 1 });
        Id::from_u64(number)
    }

    pub(super) fn record(&self, span: &Id, values: &Record<'_>) {
        let mut open = self.lock();
        let Some(span) = open.spans.get_mut(&span.into_u64()) else { return };
        let mut fields = Fields { message: String::new(), others: std::mem::take(&mut span.fields) };
        values.record(&mut fields);
        span.fields = fields.others;
    }

    pub(super) fn hold(&self, span: &Id) {
        if let Some(span) = self.lock().spans.get_mut(&span.into_u64()) {
            span.holders += 1;
        }
    }

    /// Whether it is closed by that.
    pub(super) fn let_go(&self, span: &Id) -> bool {
        let mut open = self.lock();
        let (mut next, mut closed) = (Some(span.into_u64()), false);
        while let Some(number) = next.take() {
            let Some(span) = open.spans.get_mut(&number) else { break };
            span.holders -= 1;
            if span.holders > 0 {
                break;
            }
            closed = true;
            next = open.spans.remove(&number).and_then(|span| span.parent);
        }
        if open.spans.is_empty() {
            open.spans = BTreeMap::new();
        }
        closed
    }

    /// What is entered on this thread, the outermost first.
    pub(super) fn here(&self) -> Vec<Within> {
        innermost().map(|span| self.chain(&Id::from_u64(span))).unwrap_or_default()
    }

    /// A span and what it is within, the outermost first.
    pub(super) fn chain(&self, span: &Id) -> Vec<Within> {
        let open = self.lock();
        let mut chain = Vec::new();
        let mut next = Some(span.into_u64());
        while let Some(span) = next.and_then(|number| open.spans.get(&number)) {
            chain.push(Within { name: span.metadata.name(), fields: span.fields.clone() });
            next = span.parent;
        }
        chain.reverse();
        chain
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().spans.len()
    }
}

/// This thread goes in.
pub(super) fn enter(span: &Id) {
    let _ = HERE.try_with(|here| {
        let (count, mut spans) = here.get();
        if let Some(place) = spans.get_mut(count) {
            *place = span.into_u64();
        }
        here.set((count + 1, spans));
    });
}

/// This thread goes out; not always of the one that it went into last.
pub(super) fn exit(span: &Id) {
    let _ = HERE.try_with(|here| {
        let (count, mut spans) = here.get();
        let kept = count.min(DEEP);
        if count <= DEEP {
            if let Some(at) = spans[..kept].iter().rposition(|other| *other == span.into_u64()) {
                spans.copy_within(at + 1..kept, at);
            }
        }
        here.set((count.saturating_sub(1), spans));
    });
}

fn innermost() -> Option<u64> {
    let (count, spans) = HERE.try_with(Cell::get).ok()?;
    count.min(DEEP).checked_sub(1).map(|last| spans[last])
}
