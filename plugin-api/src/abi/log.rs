//! The log: the extension of a plugin whose level can be set, and that of a host that takes lines with their fields and spans.

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RStr};

use super::{ExtensionPtr, HostHandle, HostLink};
use crate::logging::{self, Field, Within, in_words};

/// Id and revision of the extension of a plugin whose level can be set.
pub const LOG_EXTENSION: (&str, u32) = ("hotbay.log", 1);

/// Id and revision of the extension of a host that takes lines with fields and spans.
pub const LINES_EXTENSION: (&str, u32) = ("hotbay.lines", 1);

/// The log extension of a plugin, revision 1: frozen.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct LogExtension {
    /// Lines beyond this level (0 none, 1 error … 5 trace) are not wanted: the plugin may leave them out without asking. Any time after
    /// `create`; on a lane; does not call back; never panics.
    pub set_level: extern "C" fn(level: u32),
}

/// The lines extension of a host, revision 1: frozen.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct LinesExtension {
    /// Writes a line. Any time, any thread.
    pub write: extern "C" fn(HostHandle, line: &RawLine<'_>),
}

/// A field.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct RawField<'a> {
    /// Its name.
    pub name: RStr<'a>,
    /// Its value.
    pub value: RStr<'a>,
    /// Whether the value is JSON, such as text in quotes; else it is words as they are.
    pub is_json: bool,
}

/// Something that takes a while, within which lines are written.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct RawSpan<'a> {
    /// Its name.
    pub name: RStr<'a>,
    /// What stands beside it.
    pub fields: RSlice<'a, RawField<'a>>,
}

/// A line of the log; all of it is the plugin's, and lent for the call.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct RawLine<'a> {
    /// 1 error … 5 trace.
    pub level: u32,
    /// Where in the plugin.
    pub target: RStr<'a>,
    /// The text.
    pub text: RStr<'a>,
    /// What stands beside it.
    pub fields: RSlice<'a, RawField<'a>>,
    /// The spans that it is written within, the outermost first.
    pub spans: RSlice<'a, RawSpan<'a>>,
}

/// A line on its way to the host.
pub(crate) struct Said<'a> {
    pub(crate) level: u32,
    pub(crate) target: &'a str,
    pub(crate) text: &'a str,
    pub(crate) fields: &'a [Field],
    pub(crate) within: &'a [Within],
}

static LOG: LogExtension = LogExtension { set_level };

/// What the plugin's `extension` answers for [`LOG_EXTENSION`].
pub(super) fn log() -> ExtensionPtr {
    ExtensionPtr(std::ptr::from_ref(&LOG).cast())
}

extern "C" fn set_level(level: u32) {
    logging::set_level(level);
}

fn raw(fields: &[Field]) -> Vec<RawField<'_>> {
    let fields = fields.iter().map(|field| (field.name, field.value.as_str(), field.is_json));
    fields
        .map(|(name, value, is_json)| RawField { name: name.into(), value: value.into(), is_json })
        .collect()
}

impl HostLink {
    /// Writes a line; where the host takes no fields and spans, with those in words.
    pub(crate) fn write(self, said: &Said<'_>) {
        let (id, revision) = LINES_EXTENSION;
        let table = (self.table.extension())(id.into(), revision);
        // SAFETY: A3; it was asked for in these words.
        let Some(table) = (unsafe { table.as_lines() }) else {
            let all = said.within.iter().flat_map(|span| &span.fields).chain(said.fields);
            return self.log(said.level, said.target, said.text, &in_words(all));
        };
        let fields = raw(said.fields);
        let within: Vec<Vec<RawField<'_>>> = said.within.iter().map(|span| raw(&span.fields)).collect();
        let spans: Vec<RawSpan<'_>> = said
            .within
            .iter()
            .zip(&within)
            .map(|(span, fields)| RawSpan { name: span.name.into(), fields: fields.as_slice().into() })
            .collect();
        let line = RawLine {
            level: said.level,
            target: said.target.into(),
            text: said.text.into(),
            fields: fields.as_slice().into(),
            spans: spans.as_slice().into(),
        };
        (table.write)(self.handle, &line);
    }
}

impl ExtensionPtr {
    /// A host's answer to [`LINES_EXTENSION`].
    #[must_use]
    pub fn of_lines(table: &'static LinesExtension) -> Self {
        Self(std::ptr::from_ref(table).cast())
    }

    /// The table of the lines extension.
    ///
    /// # Safety
    /// The pointer must be the answer of a host's `extension` to [`LINES_EXTENSION`].
    unsafe fn as_lines<'a>(self) -> Option<&'a LinesExtension> {
        // SAFETY: what the caller vouches for.
        unsafe { self.0.cast::<LinesExtension>().as_ref() }
    }

    /// The table of the log extension.
    ///
    /// # Safety
    /// The pointer must be the answer of a plugin's `extension` to [`LOG_EXTENSION`], and the plugin's library must stay
    /// loaded for as long as the reference is used.
    #[must_use]
    pub unsafe fn as_log<'a>(self) -> Option<&'a LogExtension> {
        // SAFETY: what the caller vouches for.
        unsafe { self.0.cast::<LogExtension>().as_ref() }
    }
}
