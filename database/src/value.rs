//! Values of parameters.

use std::borrow::Cow;

/// A parameter of a statement. Nulls have a type, because `PostgreSQL` asks for it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'q> {
    /// A 64-bit integer.
    Integer(Option<i64>),
    /// A float.
    Real(Option<f64>),
    /// A flag: 0 or 1 in `SQLite`, a boolean in `PostgreSQL`.
    Flag(Option<bool>),
    /// Text.
    Text(Option<Cow<'q, str>>),
    /// Bytes.
    Bytes(Option<Cow<'q, [u8]>>),
    /// Text for a column that also holds bytes: text in `SQLite`, its bytes in `PostgreSQL`.
    Stored(Cow<'q, str>),
}

/// Text for a column that also holds bytes.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'q>(pub &'q str);

/// What can be a parameter.
pub trait Bind<'q> {
    /// The null of its type.
    const NULL: Value<'static>;

    /// The parameter.
    fn value(self) -> Value<'q>;
}

macro_rules! bind {
    ($($type:ty => $kind:ident, $self:ident: $value:expr;)*) => {$(
        impl<'q> Bind<'q> for $type {
            const NULL: Value<'static> = Value::$kind(None);

            fn value($self) -> Value<'q> {
                Value::$kind(Some($value))
            }
        }
    )*};
}

bind! {
    i64 => Integer, self: self;
    &i64 => Integer, self: *self;
    u32 => Integer, self: self.into();
    f64 => Real, self: self;
    bool => Flag, self: self;
    &'q str => Text, self: self.into();
    String => Text, self: self.into();
    &'q String => Text, self: self.into();
    &'q [u8] => Bytes, self: self.into();
    Vec<u8> => Bytes, self: self.into();
    &'q Vec<u8> => Bytes, self: self.into();
}

impl<'q> Bind<'q> for Stored<'q> {
    const NULL: Value<'static> = Value::Bytes(None);

    fn value(self) -> Value<'q> {
        Value::Stored(self.0.into())
    }
}

impl<'q, T: Bind<'q>> Bind<'q> for Option<T> {
    const NULL: Value<'static> = T::NULL;

    fn value(self) -> Value<'q> {
        self.map_or(T::NULL, T::value)
    }
}

impl<'q, T> Bind<'q> for &'q Option<T>
where
    &'q T: Bind<'q>,
{
    const NULL: Value<'static> = <&T as Bind>::NULL;

    fn value(self) -> Value<'q> {
        self.as_ref().value()
    }
}
