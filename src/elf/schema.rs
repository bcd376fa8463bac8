//! Types that are written as one text: for the schema of documents that hold them, they are texts.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{Machine, Name, ObjectType, OsAbi};

macro_rules! text {
    ($($kind:ty),*) => {$(
        impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                String::schema_name()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                String::json_schema(generator)
            }

            fn inline_schema() -> bool {
                true
            }
        }
    )*};
}

text!(Machine, Name, ObjectType, OsAbi);
