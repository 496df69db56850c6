//! `export_plugin!`: the two symbols of a plugin's library.

use crate::abi::StateTables;
use crate::state::Shape;
use crate::{Declaration, Plugin};

/// What `export_plugin!` says of a plugin. Written by the macro; not for authors.
pub trait Export: Plugin {
    /// The manifest's declaration.
    const DECLARATION: Declaration;
    /// What is known of its state.
    const SHAPE: Option<Shape>;
    /// The tables of the state extension.
    const STATE: Option<StateTables>;
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
            Some($crate::Shape::of::<$plugin>()),
            Some($crate::abi::state_tables::<$plugin>()),
            { $($($field: $value,)*)? }
        );
    };
    (@export $plugin:ty, $shape:expr, $state:expr, { $($field:ident : $value:expr,)* }) => {
        const _: () = {
            impl $crate::Export for $plugin {
                #[allow(clippy::needless_update, reason = "a declaration may name every field")]
                const DECLARATION: $crate::Declaration = $crate::Declaration {
                    $($field: $value,)*
                    ..$crate::Declaration::of(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
                };
                const SHAPE: Option<$crate::Shape> = $shape;
                const STATE: Option<$crate::abi::StateTables> = $state;
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
                        <$plugin as $crate::Export>::SHAPE,
                    )
                },
            > = $crate::manifest::Embedded::new(
                &<$plugin as $crate::Export>::DECLARATION,
                <$plugin as $crate::Export>::SHAPE,
            );
        };
    };
}
