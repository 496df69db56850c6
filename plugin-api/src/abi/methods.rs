//! The methods extension: a function of its own for each method that a plugin declares.
//!
//! A caller finds it once, and no name is compared on the way of a call. Authors write nothing for it: `Plugin::call` is compiled
//! once more for each declared method, with that method's name for a constant, which leaves the one arm that answers it.

use std::marker::PhantomData;

use abi_stable::std_types::{RSlice, RStr};

use super::guard::guard_call;
use super::thunk::{call, plugin};
use super::{ExtensionPtr, Instance, RawBuffer, Status};
use crate::{Export, Reply, Request};

/// Id and revision of the methods extension.
pub const METHODS_EXTENSION: (&str, u32) = ("hotbay.methods", 1);

/// Methods beyond so many of a plugin's declaration have no function of their own, and are called by name. Each function takes
/// a part of the library.
const MOST: usize = 32;

/// Answers requests for one method, as [`PluginModule::call`](super::PluginModule::call) does: four arguments, which travel
/// in registers.
pub type MethodFn = extern "C" fn(Instance, request: RSlice<'_, u8>, reply: &mut RawBuffer) -> Status;

/// The methods extension, revision 1: frozen.
// Without abi_stable's derive, which does not know functions that give functions; nobody asks for an extension's layout.
#[repr(C)]
#[derive(Debug)]
pub struct MethodsExtension {
    /// The function of a method that the plugin declares; none where it has no function of its own: it is called by its name then.
    /// Any time, any thread; does not call back; never panics.
    pub find: extern "C" fn(method: RStr<'_>) -> Option<MethodFn>,
}

impl ExtensionPtr {
    /// The table of the methods extension.
    ///
    /// # Safety
    /// The pointer must be the answer of a plugin's `extension` to [`METHODS_EXTENSION`], and the plugin's library must stay
    /// loaded for as long as the reference, or a function that was found by it, is used.
    #[must_use]
    pub unsafe fn as_methods<'a>(self) -> Option<&'a MethodsExtension> {
        // SAFETY: what the caller vouches for.
        unsafe { self.0.cast::<MethodsExtension>().as_ref() }
    }
}

/// What the plugin's `extension` answers for [`METHODS_EXTENSION`].
pub(super) fn methods<P: Export>() -> ExtensionPtr {
    let table: &'static MethodsExtension = const { &MethodsExtension { find: find::<P> } };
    ExtensionPtr(std::ptr::from_ref(table).cast())
}

extern "C" fn find<P: Export>(method: RStr<'_>) -> Option<MethodFn> {
    let number = P::DECLARATION.methods.iter().position(|known| *known == method.as_str())?;
    *Functions::<P>::ALL.get(number)?
}

struct Functions<P>(PhantomData<P>);

/// One for each number; those that there is no method for are never compiled.
macro_rules! functions {
    ($($number:literal)*) => { [$(function::<P, $number>()),*] };
}

impl<P: Export> Functions<P> {
    const ALL: [Option<MethodFn>; MOST] = functions!(
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
    );
}

const fn function<P: Export, const NUMBER: usize>() -> Option<MethodFn> {
    if NUMBER < P::DECLARATION.methods.len() { Some(answer::<P, NUMBER>) } else { None }
}

extern "C" fn answer<P: Export, const NUMBER: usize>(
    instance: Instance,
    request: RSlice<'_, u8>,
    reply: &mut RawBuffer,
) -> Status {
    let method = const { P::DECLARATION.methods[NUMBER] };
    // A body that writes no more than a small reply then calls nobody, and saves no registers: they would be a sixth of such a call.
    if !reply.has_room() {
        return call::<P>(instance, method.into(), request, reply);
    }
    guard_call(reply, |reply| {
        plugin::<P>(&instance).call(Request::new(method, request.as_slice()), &mut Reply::new(reply))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::buffer::SMALL;
    use crate::abi::{Lent, module};
    use crate::prelude::*;

    struct Tells;

    impl Plugin for Tells {
        fn create(_: Context) -> Result<Self> {
            Ok(Self)
        }

        fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
            reply.write(request.method().as_bytes())?;
            reply.write(request.bytes())
        }
    }

    /// One more than have functions of their own.
    const NAMES: &[&str] = &[
        "00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16",
        "17", "18", "19", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29", "30", "31", "32",
    ];

    crate::export_plugin!(Tells { name: "tells", methods: NAMES });

    #[test]
    fn each_declared_method_has_a_function_that_answers_as_by_name_up_to_a_number() {
        let (id, revision) = METHODS_EXTENSION;
        // SAFETY: it was asked for in these words, and the table is this program's own.
        let table = unsafe { (module::<Tells>().extension())(id.into(), revision).as_methods() };
        let find = table.expect("there is one").find;
        let plugin = Tells;
        let instance = Instance(std::ptr::from_ref(&plugin).cast());
        for (number, name) in NAMES.iter().enumerate() {
            let Some(function) = find((*name).into()) else {
                assert_eq!(number, MOST);
                continue;
            };
            // Without room for a small reply, and with it.
            for mut reply in [Vec::new(), Vec::with_capacity(SMALL)] {
                let status = function(instance, b"!".as_slice().into(), Lent::new(&mut reply).raw());
                assert_eq!((status, reply), (Status::OK, format!("{name}!").into_bytes()));
            }
        }
        assert!(find("33".into()).is_none() && find("".into()).is_none());
        // SAFETY: as above.
        assert!(unsafe { (module::<Tells>().extension())(id.into(), revision + 1).as_methods() }.is_none());
    }
}
