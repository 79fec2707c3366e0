//! The switch behind planted bugs: deliberate faults that the simulator's checkers must catch.

/// Defines `Mutation`, the faults that can be planted in a crate, and `planted(mutation)`.
///
/// Only with the cargo feature `planted-bugs` of that crate; without it `planted` is a constant
/// `false` and costs nothing. `plant` sets one fault for the thread that drives a run.
#[macro_export]
macro_rules! planted_bugs {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// A fault that can be planted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mutation {
            $($(#[$doc])+ $name,)+
        }

        impl Mutation {
            /// Every fault.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
        }

        #[cfg(feature = "planted-bugs")]
        mod switch {
            use super::Mutation;

            thread_local! {
                static PLANTED: std::cell::Cell<Option<Mutation>> =
                    const { std::cell::Cell::new(None) };
            }

            /// Plants a fault in this thread, or takes it out.
            pub fn plant(mutation: Option<Mutation>) {
                PLANTED.set(mutation);
            }

            pub(crate) fn planted(mutation: Mutation) -> bool {
                PLANTED.get() == Some(mutation)
            }
        }

        #[cfg(feature = "planted-bugs")]
        pub use switch::plant;
        #[cfg(feature = "planted-bugs")]
        pub(crate) use switch::planted;

        /// Whether a fault is planted: never, in a build without the feature.
        #[cfg(not(feature = "planted-bugs"))]
        #[inline(always)]
        pub(crate) const fn planted(_mutation: Mutation) -> bool {
            false
        }
    };
}
