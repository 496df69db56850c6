//! From the C functions of the table to the methods of the trait, with the guard between.

use std::marker::PhantomData;

use abi_stable::library::{CheckTypeLayout, LibHeader, RootModuleResult};
use abi_stable::prefix_type::{PrefixRefTrait, WithMetadata};
use abi_stable::std_types::{RResult, RSlice, RStr};

use super::config::config;
use super::guard::{guard, guard_call, install_hook};
use super::log::log;
use super::messages::messages;
use super::methods::methods;
use super::requests::answers;
use super::streams::streams;
use super::{
    ANSWERS_EXTENSION, CONFIG_EXTENSION, ExtensionPtr, HostLink, Instance, LOG_EXTENSION, MESSAGES_EXTENSION,
    METHODS_EXTENSION, PluginModule, PluginModuleRef, RawBuffer, STREAMS_EXTENSION, Status,
};
use crate::{Context, Export, Plugin, Reply, Request, logging};

struct Table<P>(PhantomData<P>);

impl<P: Export> Table<P> {
    abi_stable::staticref!(
        const MODULE: WithMetadata<PluginModule> = WithMetadata::new(PluginModule {
            create: create::<P>,
            destroy: destroy::<P>,
            start: start::<P>,
            stop: stop::<P>,
            pause: pause::<P>,
            resume: resume::<P>,
            call: call::<P>,
            extension: extension::<P>,
        })
    );
}

/// The table of a plugin that is linked in, as a library would offer it: for hosts' own tests.
#[must_use]
pub fn module<P: Export>() -> PluginModuleRef {
    PluginModuleRef(Table::<P>::MODULE.as_prefix())
}

/// The header that a library of `P` exports. `export_plugin!` writes it.
#[must_use]
pub const fn lib_header<P: Export>() -> LibHeader {
    // SAFETY: `construct::<P>` answers a `PluginModuleRef`, which is the module that is named here.
    unsafe { LibHeader::from_constructor::<PluginModuleRef>(construct::<P>, CheckTypeLayout::Yes) }
}

/// Called by abi_stable in the host, once per loaded library, before anything else of it.
extern "C" fn construct<P: Export>() -> RootModuleResult {
    install_hook();
    logging::install();
    // SAFETY: erasing the fields' type is what `LibHeader` asks for; it is cast back to the same module.
    RResult::ROk(unsafe { module::<P>().to_prefix_ref().cast() })
}

extern "C" fn create<P: Plugin>(link: HostLink, place: &mut Instance, error: &mut RawBuffer) -> Status {
    logging::attach(link);
    guard(error, || {
        let plugin = P::create(Context::new(link))?;
        *place = Instance(Box::into_raw(Box::new(plugin)).cast_const().cast());
        Ok(())
    })
}

extern "C" fn destroy<P: Plugin>(instance: Instance, error: &mut RawBuffer) -> Status {
    guard(error, || {
        // SAFETY: A1; `create` made it by `Box::into_raw`, and this is the one time that it is given back.
        drop(unsafe { Box::from_raw(instance.0.cast_mut().cast::<P>()) });
        Ok(())
    })
}

extern "C" fn start<P: Plugin>(instance: Instance, error: &mut RawBuffer) -> Status {
    guard(error, || plugin::<P>(&instance).start())
}

extern "C" fn stop<P: Plugin>(instance: Instance, error: &mut RawBuffer) -> Status {
    guard(error, || plugin::<P>(&instance).stop())
}

extern "C" fn pause<P: Plugin>(instance: Instance, error: &mut RawBuffer) -> Status {
    guard(error, || plugin::<P>(&instance).pause())
}

extern "C" fn resume<P: Plugin>(instance: Instance, error: &mut RawBuffer) -> Status {
    guard(error, || plugin::<P>(&instance).resume())
}

#[inline(never)]
pub(super) extern "C" fn call<P: Plugin>(
    instance: Instance,
    method: RStr<'_>,
    request: RSlice<'_, u8>,
    reply: &mut RawBuffer,
) -> Status {
    guard_call(reply, |reply| {
        let request = Request::new(method.as_str(), request.as_slice());
        plugin::<P>(&instance).call(request, &mut Reply::new(reply))
    })
}

extern "C" fn extension<P: Export>(id: RStr<'_>, revision: u32) -> ExtensionPtr {
    match (id.as_str(), revision) {
        METHODS_EXTENSION => methods::<P>(),
        CONFIG_EXTENSION => config::<P>(),
        LOG_EXTENSION => log(),
        // Who declares no topic gets no message.
        MESSAGES_EXTENSION if !P::DECLARATION.topics.is_empty() => messages::<P>(),
        ANSWERS_EXTENSION if !P::DECLARATION.answers.is_empty() => answers::<P>(),
        STREAMS_EXTENSION if !P::DECLARATION.streams.is_empty() => streams::<P>(),
        (id, revision) => P::STATE.map_or(ExtensionPtr::NONE, |state| state.of_revision(id, revision)),
    }
}

#[inline]
pub(super) fn plugin<P: Plugin>(instance: &Instance) -> &P {
    // SAFETY: A1; the reference lives no longer than the call that the instance was lent to.
    unsafe { &*instance.0.cast::<P>() }
}
