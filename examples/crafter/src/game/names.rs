/// Declares an enum whose variants have the names and the order of Crafter's data file.
macro_rules! named_enum {
    ($(#[$doc:meta])* $vis:vis enum $type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        $vis enum $type {
            $(
                #[doc = concat!("`", $name, "`")]
                $variant
            ),+
        }

        impl $type {
            /// All variants, in order.
            $vis const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Name in Crafter's data file.
            $vis const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The variant with this name.
            $vis fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

pub(crate) use named_enum;
