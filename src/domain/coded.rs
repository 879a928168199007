//! One way to give an enum a stable one-byte code (journal, store) and a stable name (API).

/// Declares an enum whose variants each have a code and a name that never change.
macro_rules! coded_enum {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $code:literal => $text:literal, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        $vis enum $name {
            $( $(#[$variant_meta])* $variant = $code, )+
        }

        impl $name {
            /// Every variant, in order of its code.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )+ ];

            /// The byte that stands for this value in the journal and the store.
            #[must_use]
            pub const fn code(self) -> u8 {
                self as u8
            }

            /// The value of a code, or `None` for a code of a newer version.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $( $code => Some(Self::$variant), )+
                    _ => None,
                }
            }

            /// The name in the API, docs and pages.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$variant => $text, )+
                }
            }

            /// The value of a name as the API writes it.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $( $text => Some(Self::$variant), )+
                    _ => None,
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                let name = <std::borrow::Cow<'de, str>>::deserialize(input)?;
                Self::from_name(&name).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|one| one.name()).collect();
                    serde::de::Error::custom(format!(
                        "{name:?} is not one of {}",
                        known.join(", ")
                    ))
                })
            }
        }
    };
}

pub(crate) use coded_enum;
