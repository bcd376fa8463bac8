//! The JSON schema of the file, for editors.

use schemars::generate::SchemaSettings;

use super::File;

/// The JSON schema (draft 7, which editors know best) of `coracle.yaml`, as committed at `docs/coracle.schema.json`.
#[must_use]
pub fn schema() -> String {
    let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<File>();
    // A schema is plain JSON and always has a text.
    serde_json::to_string_pretty(schema.as_value()).unwrap_or_default() + "\n"
}
