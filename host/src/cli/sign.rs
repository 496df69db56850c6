//! `hotbay sign FILE`: a signature that says of the file what it is, for hosts and for the stock `minisign`.

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use minisign::{SecretKey, SecretKeyBox};
use serde::Serialize;

use super::change::existing;
use super::failed::Otherwise as _;
use super::output::{Output, narrate};
use crate::control::exit::Exit;
use crate::control::protocol::Failure;
use crate::discover::discover;
use crate::error::{Code, Trouble};
use crate::os;
use crate::trust::keys::PublicKey;
use crate::trust::signature::{self, Signature};
use crate::trust::statement::Statement;
use crate::verify::verify;

#[derive(Debug, clap::Args)]
pub(super) struct Sign {
    /// The plugin
    file: PathBuf,
    /// The secret key, as `hotbay trust new-key` or `minisign -G` writes it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Hosts on which this version served refuse any with a lower number; raise it when a version mends a hole
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    security: u64,
    /// A file with the key's password in its first line, `-` for stdin; else it is asked for
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Signed {
    signature: PathBuf,
    key: String,
    name: String,
    version: String,
    digest: String,
    security: u64,
}

pub(super) fn sign(asked: &Sign, out: &Output) -> anyhow::Result<()> {
    existing(&asked.file)?;
    existing(&asked.key)?;
    let refused = |trouble: Trouble| Failure::of(Exit::Refused, trouble.within(asked.file.display()));
    // Who names a link means what is behind it: the signature lies beside that.
    let real = std::fs::canonicalize(&asked.file)
        .otherwise(Code::NotRead, || format!("failed to find `{}`", asked.file.display()))?;
    let discovered = discover(&real).map_err(|error| refused(error.into()))?;
    let verified = verify(discovered).map_err(|error| refused(error.error.into()))?;
    let secret = secret_key(&asked.key, asked.password_file.as_deref())?;

    let statement = Statement::of(&verified.manifest, &verified.digest, asked.security);
    let untrusted = format!("signature of {} {} by hotbay", statement.name, statement.version);
    let made = minisign::sign(
        None,
        &secret,
        Cursor::new(&verified.bytes[..]),
        Some(&statement.to_string()),
        Some(&untrusted),
    );
    let text = made.otherwise(Code::NotSigned, || "failed to sign it")?.into_string();
    let public = minisign::PublicKey::from_secret_key(&secret)
        .otherwise(Code::NotSigned, || "failed to tell its public key")?;
    // What a host would refuse is not to leave this desk.
    let public = PublicKey::parse(&public.to_base64())
        .otherwise(Code::NotSigned, || "failed to read its public key")?;
    let signature = Signature::parse(text).ok().filter(|signature| signature.is_of(&public, &verified.bytes));
    let signature = signature.ok_or_else(|| {
        let message = "failed to sign it: the signature does not fit; is the key's file damaged?";
        Failure::new(Exit::Failed, Code::NotSigned, message)
    })?;

    let path = signature::path_of(&real);
    replace(&path, signature.text.as_bytes())
        .otherwise(Code::NotWritten, || format!("failed to write `{}`", path.display()))?;
    let signed = Signed {
        signature: path,
        key: public.id.to_string(),
        name: statement.name,
        version: statement.version,
        digest: statement.digest,
        security: asked.security,
    };
    narrate(&format!(
        "signed {} {}, security version {}, by key {}: `{}`",
        signed.name,
        signed.version,
        signed.security,
        signed.key,
        signed.signature.display()
    ));
    if out.is_json() { out.json(&signed) } else { Ok(()) }
}

/// Replaces a file that everybody may read, in one step.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    // Never through a link that somebody put there.
    let _ = std::fs::remove_file(&fresh);
    let written = std::fs::File::create_new(&fresh)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| os::rename_over(&fresh, path, Duration::from_secs(2)));
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    written
}

fn secret_key(path: &Path, password_file: Option<&Path>) -> anyhow::Result<SecretKey> {
    let failed = || format!("failed to read the secret key `{}`", path.display());
    let text = std::fs::read_to_string(path).otherwise(Code::NotSigned, failed)?;
    if PublicKey::parse(&text).is_ok() {
        let message = format!(
            "{}: it is a public key, which signs nothing; name the secret one, which lies beside it or with who made both",
            failed()
        );
        return Err(Failure::new(Exit::Failed, Code::NotSigned, message).into());
    }
    if let Some(secret) = without_checksum(&text) {
        return Ok(secret);
    }
    let boxed = || SecretKeyBox::from_string(&text);
    // One without a password says so itself.
    if let Ok(secret) = boxed().otherwise(Code::NotSigned, failed)?.into_unencrypted_secret_key() {
        return Ok(secret);
    }
    let password = password(password_file, "password of the key: ")?;
    let boxed = boxed().otherwise(Code::NotSigned, failed)?;
    boxed.into_secret_key(Some(password)).otherwise(Code::NotSigned, failed)
}

/// A key as `minisign -W` writes it: without a password, and without the checksum that tells a right one. A key that is damaged
/// makes no signature that fits, which is looked at.
fn without_checksum(text: &str) -> Option<SecretKey> {
    /// What it is, how it is encrypted and by what it is checked; salt and limits; number, key and checksum.
    const LENGTH: usize = 3 * 2 + 32 + 2 * 8 + 8 + 64 + CHECKSUM;
    const CHECKSUM: usize = 32;
    let bytes = BASE64.decode(text.lines().nth(1)?.trim()).ok()?;
    let is_one = bytes.len() == LENGTH
        && bytes[2..4] == [0, 0]
        && bytes[LENGTH - CHECKSUM..].iter().all(|byte| *byte == 0);
    SecretKey::from_bytes(&bytes).ok().filter(|_| is_one)
}

/// A password: the first line of a file or of stdin, or what is typed.
pub(super) fn password(file: Option<&Path>, prompt: &str) -> anyhow::Result<String> {
    let text = match file {
        None => {
            return rpassword::prompt_password(prompt).otherwise(Code::NotSigned, || {
                "failed to ask for the password: there is no terminal; `--password-file` names a file with it"
            });
        }
        Some(file) if file == Path::new("-") => std::io::read_to_string(std::io::stdin()),
        Some(file) => std::fs::read_to_string(file),
    };
    let text = text.otherwise(Code::NotSigned, || "failed to read the password")?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
