//! Format 2: the state in chunks. What is written today.

use super::fields::Fields;
use super::{Body, FORMAT, Frame, Header, MAGIC};
use crate::cipher::Cipher;
use crate::error::OpenError;
use crate::key::KeyId;
use crate::layout;
use crate::name;
use crate::subkey::{CHECK, SALT};

/// Without its texts.
const FIXED: usize = 126;

/// The longest header there can be; whoever reads this much of a file has all of it.
pub(crate) const MAX_HEADER: usize = FIXED + name::MAX_SERVICE + 3 * name::MAX_TEXT;

/// The state's length where it was not known when sealing began.
const NOT_KNOWN: u64 = u64::MAX;

const LENGTH: &str = "its length is not the one that its fields have";
pub(super) const TOO_MANY: &str = "its state has more chunks than can be counted";

/// The bytes of a header, but for the tag at their end. The texts have been validated: their lengths fit a byte.
pub(crate) fn encode(
    header: &Header,
    salt: &[u8; SALT],
    key_check: &[u8; CHECK],
    chunk_log2: u8,
    declared: Option<u64>,
) -> Vec<u8> {
    let texts = [&header.service, &header.plugin, &header.plugin_version, &header.content_type];
    let len = FIXED + texts.iter().map(|text| text.len()).sum::<usize>();
    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&header.format.to_le_bytes());
    out.extend_from_slice(&u16::try_from(len).expect("three texts of 255 and one of 64").to_le_bytes());
    out.push(header.cipher.code());
    out.push(chunk_log2);
    out.extend_from_slice(&header.key_id.0);
    out.extend_from_slice(key_check);
    out.extend_from_slice(salt);
    out.extend_from_slice(&header.schema.to_le_bytes());
    out.extend_from_slice(&header.sequence.to_le_bytes());
    out.extend_from_slice(&header.generation.to_le_bytes());
    out.extend_from_slice(&header.created_unix_ms.to_le_bytes());
    out.extend_from_slice(&declared.unwrap_or(NOT_KNOWN).to_le_bytes());
    for text in texts {
        out.push(u8::try_from(text.len()).expect("validated before it came here"));
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// Reads what follows the magic and the format, which `fields` has passed.
pub(super) fn parse(start: &[u8], mut fields: Fields<'_>) -> Result<Frame, OpenError> {
    let bad = |problem| OpenError::BadHeader { problem };
    let len = usize::from(fields.u16()?);
    if !(FIXED..=MAX_HEADER).contains(&len) {
        return Err(bad(LENGTH));
    }
    let at = fields.at;
    fields.take(len - at)?;

    // All of it is there: what is missing from here on is missing between its fields and its length.
    let mut fields = Fields::new(&start[..len], len as u64);
    fields.at = at;
    let parsed = within(&mut fields).map_err(|error| match error {
        OpenError::Truncated { .. } => bad(LENGTH),
        error => error,
    })?;
    if fields.at == len { Ok(Frame { len, ..parsed }) } else { Err(bad(LENGTH)) }
}

fn within(fields: &mut Fields<'_>) -> Result<Frame, OpenError> {
    let [code] = fields.array()?;
    let [chunk_log2] = fields.array()?;
    let key_id = KeyId(fields.array()?);
    let key_check = fields.array()?;
    let salt = fields.array()?;
    let schema = fields.u32()?;
    let sequence = fields.u64()?;
    let generation = fields.u64()?;
    let created_unix_ms = fields.u64()?;
    let plain_len = fields.u64()?;
    let service = fields.text()?;
    let plugin = fields.text()?;
    let plugin_version = fields.text()?;
    let content_type = fields.text()?;
    let tag = fields.array()?;

    let bad = |problem| OpenError::BadHeader { problem };
    let cipher = Cipher::from_code(code).ok_or(bad("its cipher is unknown"))?;
    let chunk_len = layout::chunk_len(chunk_log2).ok_or(bad("its chunks have a length that none has"))?;
    let service = service.filter(|s| name::is_service(s)).ok_or(bad("its service has no valid name"))?;
    let visible = |text: Option<&str>, problem| {
        text.filter(|text| name::is_text(text)).map(str::to_owned).ok_or(bad(problem))
    };
    let plugin = visible(plugin, "its plugin's name is not visible ASCII")?;
    let plugin_version = visible(plugin_version, "its plugin version is not visible ASCII")?;
    let content_type = visible(content_type, "its content type is not visible ASCII")?;
    let declared = (plain_len != NOT_KNOWN).then_some(plain_len);
    if declared.is_some_and(|plain| !layout::is_countable(plain, chunk_len)) {
        return Err(bad(TOO_MANY));
    }

    let header = Header {
        format: FORMAT,
        service: service.to_owned(),
        plugin,
        plugin_version,
        schema,
        sequence,
        generation,
        created_unix_ms,
        key_id,
        cipher,
        plain_len,
        content_type,
    };
    Ok(Frame { header, salt, len: 0, body: Body::Chunks { chunk_len, declared, key_check, tag } })
}
