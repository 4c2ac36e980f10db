//! The macro behind [`record`](super::record).

/// Declares the kinds of records.
///
/// Each entry is `"kind" => Variant { fields }` with a doc comment. Entries stand in enums, one for each source of records;
/// `single` kinds have a struct of the same name as their payload. From the entries the macro makes:
///
/// - the enums, tagged by [`TAG`](super::TAG) with the kind, each a [`Payload`](super::Payload) with the list of its kinds;
/// - `RecordKind`, with the text, the documentation and the list of all kinds;
/// - `LogRecord`, with decoding by kind.
macro_rules! log_records {
    (
        $(
            $(#[$group_meta:meta])*
            pub enum $Group:ident {
                $( $(#[doc = $doc:literal])+ $kind:literal => $Kind:ident $fields:tt, )+
            }
        )+
        single {
            $( $(#[doc = $single_doc:literal])+ $single_kind:literal => $Single:ident, )+
        }
    ) => {
        $(
            $(#[$group_meta])*
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
            #[serde(tag = "kind")]
            pub enum $Group {
                $( $(#[doc = $doc])+ #[serde(rename = $kind)] $Kind $fields, )+
            }

            impl $Group {
                /// The kinds of these records, in the order of their declaration.
                pub const KINDS: &'static [RecordKind] = &[ $( RecordKind::$Kind, )+ ];
            }

            impl Payload for $Group {
                fn kind(&self) -> RecordKind {
                    match self {
                        $( Self::$Kind { .. } => RecordKind::$Kind, )+
                    }
                }
            }
        )+

        $(
            impl Payload for $Single {
                fn kind(&self) -> RecordKind {
                    RecordKind::$Single
                }
            }
        )+

        /// The kind of a record, as the log's `kind` column has it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RecordKind {
            $( $(#[doc = $single_doc])+ $Single, )+
            $( $( $(#[doc = $doc])+ $Kind, )+ )+
        }

        impl RecordKind {
            /// Every kind: first those with a struct of their own, then those of the enums, in the order of declaration.
            pub const ALL: &'static [Self] = &[ $( Self::$Single, )+ $( $( Self::$Kind, )+ )+ ];

            /// The text of the `kind` column.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$Single => $single_kind, )+
                    $( $( Self::$Kind => $kind, )+ )+
                }
            }

            /// What a record of this kind says, for people.
            pub fn doc(self) -> &'static str {
                match self {
                    $( Self::$Single => concat!($($single_doc),+), )+
                    $( $( Self::$Kind => concat!($($doc),+), )+ )+
                }
                .trim()
            }
        }

        /// A record's content, typed.
        #[derive(Debug, Clone, PartialEq)]
        pub enum LogRecord {
            $( #[doc = concat!("See [`", stringify!($Single), "`].")] $Single(Box<$Single>), )+
            $( #[doc = concat!("See [`", stringify!($Group), "`].")] $Group(Box<$Group>), )+
        }

        impl LogRecord {
            /// The record's kind.
            pub fn kind(&self) -> RecordKind {
                match self {
                    $( Self::$Single(payload) => payload.kind(), )+
                    $( Self::$Group(payload) => payload.kind(), )+
                }
            }

            /// Reads a payload of a known kind.
            ///
            /// # Errors
            /// When the payload does not have the shape of its kind.
            pub fn decode(kind: RecordKind, payload: Value) -> serde_json::Result<Self> {
                Ok(match kind {
                    $( RecordKind::$Single => Self::$Single(Box::new(serde_json::from_value(payload)?)), )+
                    $(
                        $( RecordKind::$Kind )|+ => {
                            Self::$Group(Box::new(serde_json::from_value(tagged(kind, payload))?))
                        }
                    )+
                })
            }
        }

        $(
            impl TryFrom<LogRecord> for $Single {
                type Error = RecordKind;

                fn try_from(record: LogRecord) -> Result<Self, RecordKind> {
                    match record {
                        LogRecord::$Single(payload) => Ok(*payload),
                        other => Err(other.kind()),
                    }
                }
            }
        )+

        $(
            impl TryFrom<LogRecord> for $Group {
                type Error = RecordKind;

                fn try_from(record: LogRecord) -> Result<Self, RecordKind> {
                    match record {
                        LogRecord::$Group(payload) => Ok(*payload),
                        other => Err(other.kind()),
                    }
                }
            }
        )+
    };
}

pub(super) use log_records;
