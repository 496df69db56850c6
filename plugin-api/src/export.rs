//! `export_plugin!`: the two symbols of a plugin's library.

use crate::abi::StateExtension;
use crate::{Declaration, Plugin};

/// What `export_plugin!` says of a plugin. Written by the macro; not for authors.
pub trait Export: Plugin {
    /// The manifest's declaration.
    const DECLARATION: Declaration;
    /// Schema version written, and others read.
    const SCHEMA: Option<(u32, &'static [u32])>;
    /// The table of the state extension.
    const STATE: Option<&'static StateExtension>;
}

/// Makes this crate a plugin: exports its manifest and its functions, and nothing else. Once per library.
///
/// ```ignore
/// export_plugin!(Echo);                                     // name and version of the crate, no state
/// export_plugin!(Echo: Stateful);                           // with state that goes on
/// export_plugin!(Echo: Stateful {                           // with fields of `Declaration`
///     name: "echo",
///     requires: &["logger"],
///     methods: &["echo", "count"],
/// });
/// ```
///
/// Under `cfg(test)` the symbols are left out, so that a plugin's unit tests are plain tests.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty $({ $($field:ident : $value:expr),* $(,)? })?) => {
        $crate::export_plugin!(@export $plugin, None, None, { $($($field: $value,)*)? });
    };
    ($plugin:ty : Stateful $({ $($field:ident : $value:expr),* $(,)? })?) => {
        $crate::export_plugin!(
            @export $plugin,
            Some((<$plugin as $crate::Stateful>::SCHEMA, <$plugin as $crate::Stateful>::READS)),
            Some($crate::abi::state_extension::<$plugin>()),
            { $($($field: $value,)*)? }
        );
    };
    (@export $plugin:ty, $schema:expr, $state:expr, { $($field:ident : $value:expr,)* }) => {
        const _: () = {
            impl $crate::Export for $plugin {
                #[allow(clippy::needless_update, reason = "a declaration may name every field")]
                const DECLARATION: $crate::Declaration = $crate::Declaration {
                    $($field: $value,)*
                    ..$crate::Declaration::of(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
                };
                const SCHEMA: Option<(u32, &'static [u32])> = $schema;
                const STATE: Option<&'static $crate::abi::StateExtension> = $state;
            }

            /// abi_stable's header of this library.
            #[cfg(not(test))]
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static HEADER: $crate::abi::LibHeader = $crate::abi::lib_header::<$plugin>();

            /// The manifest, as data.
            #[cfg(not(test))]
            #[used]
            #[unsafe(export_name = "HOTBAY_MANIFEST")]
            pub static MANIFEST: $crate::manifest::Embedded<
                {
                    $crate::manifest::encoded_len(
                        &<$plugin as $crate::Export>::DECLARATION,
                        <$plugin as $crate::Export>::SCHEMA,
                    )
                },
            > = $crate::manifest::Embedded::new(
                &<$plugin as $crate::Export>::DECLARATION,
                <$plugin as $crate::Export>::SCHEMA,
            );
        };
    };
}
