//! What a host finds of a plugin by id and revision, beside its state and its methods.

use hotbay_plugin_api::abi::{
    ANSWERS_EXTENSION, AnswersExtension, CONFIG_EXTENSION, ConfigExtension, ExtensionPtr, HandlerExtension,
    LOG_EXTENSION, LogExtension, MESSAGES_EXTENSION, MessagesExtension, PluginModuleRef, STREAMS_EXTENSION,
};

/// The tables of one plugin. Whoever keeps them keeps its library open (F4).
#[derive(Debug, Clone, Copy)]
pub(super) struct Tables {
    pub(super) messages: Option<&'static MessagesExtension>,
    pub(super) answers: Option<&'static AnswersExtension>,
    pub(super) streams: Option<&'static HandlerExtension>,
    pub(super) config: Option<&'static ConfigExtension>,
    pub(super) log: Option<&'static LogExtension>,
}

impl Tables {
    /// Asks for each.
    pub(super) fn of(module: PluginModuleRef) -> Self {
        let ask = |(id, revision): (&str, u32)| -> ExtensionPtr { (module.extension())(id.into(), revision) };
        Self {
            // SAFETY: F4; it was asked for in these words, and the caller keeps the answer beside the library.
            messages: unsafe { ask(MESSAGES_EXTENSION).as_messages() },
            // SAFETY: as above.
            answers: unsafe { ask(ANSWERS_EXTENSION).as_answers() },
            // SAFETY: as above.
            streams: unsafe { ask(STREAMS_EXTENSION).as_handler() },
            // SAFETY: as above.
            config: unsafe { ask(CONFIG_EXTENSION).as_config() },
            // SAFETY: as above.
            log: unsafe { ask(LOG_EXTENSION).as_log() },
        }
    }
}
