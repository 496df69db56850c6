//! Format 1: the state as one message. It is read, and no longer written.

use super::fields::Fields;
use super::{Body, Frame, Header};
use crate::cipher::Cipher;
use crate::error::OpenError;
use crate::key::KeyId;
use crate::name;

/// Reads what follows the magic and the format.
pub(super) fn parse(mut fields: Fields<'_>) -> Result<Frame, OpenError> {
    let [code] = fields.array()?;
    let key_id = KeyId(fields.array()?);
    let salt = fields.array()?;
    let nonce = fields.array()?;
    let schema = fields.u32()?;
    let sequence = fields.u64()?;
    let generation = fields.u64()?;
    let created_unix_ms = fields.u64()?;
    let plain_len = fields.u64()?;
    let service = fields.text()?;
    let plugin_version = fields.text()?;

    let bad = |problem| OpenError::BadHeader { problem };
    let cipher = Cipher::from_code(code).ok_or(bad("its cipher is unknown"))?;
    let service = service.filter(|s| name::is_service(s)).ok_or(bad("its service has no valid name"))?;
    let plugin_version =
        plugin_version.filter(|v| name::is_text(v)).ok_or(bad("its plugin version is not visible ASCII"))?;

    let header = Header {
        format: 1,
        service: service.to_owned(),
        plugin: String::new(),
        plugin_version: plugin_version.to_owned(),
        schema,
        sequence,
        generation,
        created_unix_ms,
        key_id,
        cipher,
        plain_len,
        content_type: String::new(),
    };
    Ok(Frame { header, salt, len: fields.at, body: Body::Message { nonce } })
}
