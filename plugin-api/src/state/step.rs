//! Migration: steps from schema to schema, and the ways that they make.

use std::any::Any;

use super::{Encoded, StateReader, StateWriter, Stateful, imported, read_to_the_end};
use crate::manifest::{Older, Schema};
use crate::{Error, Result};

/// A step from one schema to another: up when the state was written by an older version, down when it goes back to one.
///
/// ```
/// # use hotbay_plugin_api::prelude::*;
/// # #[derive(Serialize, Deserialize)]
/// # #[serde(crate = "hotbay_plugin_api::serde")]
/// struct Schema1 { count: u64 }
/// # #[derive(Serialize, Deserialize)]
/// # #[serde(crate = "hotbay_plugin_api::serde")]
/// struct Counts { by_name: std::collections::BTreeMap<String, u64> }
///
/// impl From<Schema1> for Counts {
///     fn from(old: Schema1) -> Self {
///         Counts { by_name: [("before".to_owned(), old.count)].into() }
///     }
/// }
///
/// impl From<Counts> for Schema1 {
///     fn from(newer: Counts) -> Self {
///         Schema1 { count: newer.by_name.values().sum() }
///     }
/// }
///
/// const STEPS: &[Step] = &[Step::new::<Schema1, Counts>(1, 2), Step::new::<Counts, Schema1>(2, 1)];
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Step {
    from: u32,
    to: u32,
    makes: &'static str,
    read: fn(&mut StateReader<'_>) -> Result<AnyState>,
    take: fn(AnyState) -> Result<AnyState>,
    write: fn(&dyn Any, &mut StateWriter<'_>) -> Result<()>,
}

/// State of some schema.
type AnyState = Box<dyn Any>;

impl Step {
    /// The step from schema `from`, whose shape is `A`, to schema `to`, whose shape is `B`: by `From`, or by `TryFrom` where it
    /// may fail. Steps that follow each other agree on the type between them.
    #[must_use]
    pub const fn new<A, B>(from: u32, to: u32) -> Self
    where
        A: Encoded,
        B: Encoded + TryFrom<A>,
        <B as TryFrom<A>>::Error: Into<Error>,
    {
        Self { from, to, makes: B::CONTENT_TYPE, read: read::<A>, take: take::<A, B>, write: write::<B> }
    }

    /// The state that this step has made, as the type that it is.
    pub(super) fn made<T: 'static>(&self, state: AnyState) -> Result<Box<T>> {
        state.downcast().map_err(|_| disagree(self.to))
    }

    /// Writes what this step has made.
    pub(super) fn write(&self, state: &dyn Any, out: &mut StateWriter<'_>) -> Result<()> {
        (self.write)(state, out)
    }

    const fn is_on_the_way_to(&self, goal: u32) -> bool {
        (self.from < self.to && self.to <= goal) || (self.from > self.to && self.to >= goal)
    }
}

fn read<A: Encoded>(source: &mut StateReader<'_>) -> Result<AnyState> {
    Ok(Box::new(read_to_the_end::<A>(source)?))
}

fn take<A: Encoded, B: Encoded + TryFrom<A>>(state: AnyState) -> Result<AnyState>
where
    B::Error: Into<Error>,
{
    let state = state.downcast::<A>().map_err(|_| Error::msg("the state is of another type"))?;
    Ok(Box::new(B::try_from(*state).map_err(Into::into)?))
}

fn write<B: Encoded>(state: &dyn Any, out: &mut StateWriter<'_>) -> Result<()> {
    state.downcast_ref::<B>().ok_or_else(|| Error::msg("the state is of another type"))?.write(out)
}

fn disagree(schema: u32) -> Error {
    Error::msg(format_args!("migrate state: what is declared for schema {schema} is of two types"))
}

/// The first step of a way that leads from one schema to another: up only, or down only.
const fn first(steps: &[Step], from: u32, to: u32) -> Option<&Step> {
    let mut at = 0;
    while at < steps.len() {
        let step = &steps[at];
        if step.from == from
            && step.is_on_the_way_to(to)
            && (step.to == to || first(steps, step.to, to).is_some())
        {
            return Some(step);
        }
        at += 1;
    }
    None
}

/// Takes state along a way that there is, and gives what came of it to `arrive`, with the last step.
pub(super) fn walk<T>(
    steps: &[Step],
    from: u32,
    to: u32,
    source: &mut StateReader<'_>,
    arrive: impl FnOnce(&Step, AnyState) -> Result<T>,
) -> Result<T> {
    let none = || Error::msg(format_args!("migrate state: there is no step from schema {from}"));
    let mut step = first(steps, from, to).ok_or_else(none)?;
    let mut state = (step.read)(source).map_err(|e| imported(from, &e))?;
    loop {
        let stepped = (step.take)(state);
        state = stepped.map_err(|e| {
            Error::msg(format_args!("migrate state from schema {} to {}: {e}", step.from, step.to))
        })?;
        if step.to == to {
            return arrive(step, state);
        }
        step = first(steps, step.to, to).ok_or_else(none)?;
    }
}

/// What is known of a plugin's state before it runs: schemas, the steps between them, and how it is written.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    schema: u32,
    content_type: &'static str,
    steps: &'static [Step],
}

impl Shape {
    /// That of a plugin.
    ///
    /// # Panics
    /// At compile time: on a step that leads nowhere, and on a content type that is not visible ASCII.
    #[must_use]
    pub const fn of<P: Stateful>() -> Self {
        let shape =
            Self { schema: P::SCHEMA, content_type: <P::State as Encoded>::CONTENT_TYPE, steps: P::STEPS };
        let mut at = 0;
        while at < shape.steps.len() {
            let step = &shape.steps[at];
            assert!(is_visible(step.makes), "a content type is visible ASCII, 255 bytes at most");
            let arrives = step.to == shape.schema || shape.reads(step.to);
            let leaves = step.from == shape.schema || first(shape.steps, shape.schema, step.from).is_some();
            assert!(
                (arrives && step.is_on_the_way_to(shape.schema)) || (leaves && step.to < step.from),
                "a step in STEPS leads neither to SCHEMA nor down from it"
            );
            at += 1;
        }
        assert!(is_visible(shape.content_type), "a content type is visible ASCII, 255 bytes at most");
        shape
    }

    /// The schema that is written.
    pub(crate) const fn schema(&self) -> u32 {
        self.schema
    }

    pub(crate) const fn content_type(&self) -> &'static str {
        self.content_type
    }

    /// Whether state of this other schema is read.
    pub(crate) const fn reads(&self, schema: u32) -> bool {
        schema != self.schema && first(self.steps, schema, self.schema).is_some()
    }

    /// Whether state can be written in this older schema. It must be possible to go forward again: what was written for the older
    /// version may be what this one finds.
    pub(crate) const fn goes_back_to(&self, schema: u32) -> bool {
        schema < self.schema && first(self.steps, self.schema, schema).is_some() && self.reads(schema)
    }

    /// The `at`th of the other schemas that are read.
    pub(crate) const fn nth_read(&self, at: usize) -> Option<u32> {
        let (mut step, mut seen) = (0, 0);
        while step < self.steps.len() {
            let from = self.steps[step].from;
            if self.reads(from) && !self.is_named_before(step, from, true) {
                if seen == at {
                    return Some(from);
                }
                seen += 1;
            }
            step += 1;
        }
        None
    }

    /// The `at`th of the older schemas that are written, and how that is written.
    pub(crate) const fn nth_back(&self, at: usize) -> Option<(u32, &'static str)> {
        let (mut step, mut seen) = (0, 0);
        while step < self.steps.len() {
            let Step { from, to, makes, .. } = self.steps[step];
            if to < from && self.goes_back_to(to) && !self.is_named_before(step, to, false) {
                if seen == at {
                    return Some((to, makes));
                }
                seen += 1;
            }
            step += 1;
        }
        None
    }

    /// Whether an earlier step begins with this schema, or (going down) ends with it.
    const fn is_named_before(&self, before: usize, schema: u32, begins: bool) -> bool {
        let mut at = 0;
        while at < before {
            let step = &self.steps[at];
            if (begins && step.from == schema) || (!begins && step.to == schema && step.to < step.from) {
                return true;
            }
            at += 1;
        }
        false
    }

    /// The same, as the manifest says it.
    #[must_use]
    pub fn to_schema(&self) -> Schema {
        let back = (0..).map_while(|at| self.nth_back(at));
        Schema {
            writes: self.schema,
            content_type: self.content_type.to_owned(),
            reads: (0..).map_while(|at| self.nth_read(at)).collect(),
            back: back.map(|(writes, makes)| Older { writes, content_type: makes.to_owned() }).collect(),
        }
    }

    /// The other schemas that are read, in words.
    pub(super) fn others(&self) -> String {
        let reads: Vec<_> =
            (0..).map_while(|at| self.nth_read(at)).map(|schema| schema.to_string()).collect();
        if reads.is_empty() { "no other".to_owned() } else { reads.join(", ") }
    }
}

const fn is_visible(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_graphic() {
            return false;
        }
        at += 1;
    }
    bytes.len() <= 255
}
