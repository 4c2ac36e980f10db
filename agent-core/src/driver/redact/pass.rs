//! One pass over a value that is about to be recorded: strings, numbers and keys from outside are replaced, while the names
//! of fields and variants, which are this program's own, stay.

use super::Matcher;
use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Display;

/// Counts replacements, and leaves out those that the value's type does not allow.
pub(super) struct Pass<'a> {
    matcher: &'a Matcher,
    /// Places, in order of their appearance, that must keep their type.
    typed: &'a BTreeSet<usize>,
    found: Cell<usize>,
}

impl<'a> Pass<'a> {
    pub fn new(matcher: &'a Matcher, typed: &'a BTreeSet<usize>) -> Self {
        Self { matcher, typed, found: Cell::new(0) }
    }

    /// Number of places with a secret so far.
    pub fn found(&self) -> usize {
        self.found.get()
    }

    /// Counts a place. Returns whether it must keep its type.
    fn is_typed(&self) -> bool {
        let place = self.found.get();
        self.found.set(place + 1);
        self.typed.contains(&place)
    }

    fn string<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let redacted = self.matcher.text(text);
        if matches!(redacted, Cow::Borrowed(_)) {
            return redacted;
        }
        // A word of this program, such as a variant's name, or the address of a module: it is no secret that it has them.
        let own = self.matcher.is_marker(&redacted) || is_address(text);
        if self.is_typed() && own { Cow::Borrowed(text) } else { redacted }
    }

    /// What stands for the number, if it is a secret: its marker, or another number where the type demands one.
    fn number(&self, text: &str) -> Option<Stand> {
        let (marker, long) = self.matcher.number(text)?;
        Some(match (self.is_typed(), long) {
            (false, _) => Stand::Marker(marker),
            (true, true) => Stand::Zero,
            // This program counts a lot; a number of few digits is one of its own.
            (true, false) => return None,
        })
    }
}

enum Stand {
    Marker(String),
    Zero,
}

/// Whether the text is a long hexadecimal number: a hash or a module.
pub(super) fn is_address(text: &str) -> bool {
    text.len() >= 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A value that is redacted while it is serialised.
pub(super) struct Redacting<'p, T: ?Sized>(pub &'p T, pub &'p Pass<'p>);

impl<T: Serialize + ?Sized> Serialize for Redacting<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Filter { inner: serializer, pass: self.1 })
    }
}

struct Filter<'p, S> {
    inner: S,
    pass: &'p Pass<'p>,
}

macro_rules! numbers {
    ($($method:ident $type:ty;)*) => {
        $(fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            if !self.pass.matcher.has_numbers() {
                return self.inner.$method(value);
            }
            match self.pass.number(&value.to_string()) {
                None => self.inner.$method(value),
                Some(Stand::Marker(marker)) => self.inner.serialize_str(&marker),
                Some(Stand::Zero) => self.inner.$method(<$type>::default()),
            }
        })*
    };
}

impl<'p, S: Serializer> Serializer for Filter<'p, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Filter<'p, S::SerializeSeq>;
    type SerializeTuple = Filter<'p, S::SerializeTuple>;
    type SerializeTupleStruct = Filter<'p, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Filter<'p, S::SerializeTupleVariant>;
    type SerializeMap = Filter<'p, S::SerializeMap>;
    type SerializeStruct = Filter<'p, S::SerializeStruct>;
    type SerializeStructVariant = Filter<'p, S::SerializeStructVariant>;

    numbers! {
        serialize_i8 i8;
        serialize_i16 i16;
        serialize_i32 i32;
        serialize_i64 i64;
        serialize_i128 i128;
        serialize_u8 u8;
        serialize_u16 u16;
        serialize_u32 u32;
        serialize_u64 u64;
        serialize_u128 u128;
        serialize_f32 f32;
        serialize_f64 f64;
    }

    fn serialize_bool(self, value: bool) -> Result<S::Ok, S::Error> {
        self.inner.serialize_bool(value)
    }

    fn serialize_char(self, value: char) -> Result<S::Ok, S::Error> {
        self.inner.serialize_char(value)
    }

    fn serialize_str(self, value: &str) -> Result<S::Ok, S::Error> {
        self.inner.serialize_str(&self.pass.string(value))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<S::Ok, S::Error> {
        self.inner.serialize_bytes(value)
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_some(&Redacting(value, self.pass))
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit()
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_struct(name)
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_struct(name, &Redacting(value, self.pass))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_variant(name, index, variant, &Redacting(value, self.pass))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        Ok(Filter { inner: self.inner.serialize_seq(length)?, pass: self.pass })
    }

    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, S::Error> {
        Ok(Filter { inner: self.inner.serialize_tuple(length)?, pass: self.pass })
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        Ok(Filter { inner: self.inner.serialize_tuple_struct(name, length)?, pass: self.pass })
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        let inner = self.inner.serialize_tuple_variant(name, index, variant, length)?;
        Ok(Filter { inner, pass: self.pass })
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        Ok(Filter { inner: self.inner.serialize_map(length)?, pass: self.pass })
    }

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeStruct, S::Error> {
        Ok(Filter { inner: self.inner.serialize_struct(name, length)?, pass: self.pass })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let inner = self.inner.serialize_struct_variant(name, index, variant, length)?;
        Ok(Filter { inner, pass: self.pass })
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.serialize_str(&value.to_string())
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! sequences {
    ($($trait:ident $method:ident;)*) => {
        $(impl<S: $trait> $trait for Filter<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                self.inner.$method(&Redacting(value, self.pass))
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        })*
    };
}

sequences! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
}

macro_rules! structures {
    ($($trait:ident)*) => {
        $(impl<S: $trait> $trait for Filter<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), S::Error> {
                self.inner.serialize_field(key, &Redacting(value, self.pass))
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), S::Error> {
                self.inner.skip_field(key)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        })*
    };
}

structures! { SerializeStruct SerializeStructVariant }

impl<S: SerializeMap> SerializeMap for Filter<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.inner.serialize_key(&Redacting(key, self.pass))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.inner.serialize_value(&Redacting(value, self.pass))
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}
