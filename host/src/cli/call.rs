//! `hotbay call NAME.METHOD`

use std::fs::File;
use std::io::{self, Read as _};
use std::time::Duration;

use super::args::{Target, millis};
use super::failed::Otherwise as _;
use super::output::Output;
use crate::control::client::Client;
use crate::control::exit::Exit;
use crate::control::frame::MAX_BODY;
use crate::control::protocol::{Failure, Request};
use crate::error::Code;

pub(super) fn call(
    client: &Client,
    target: &Target,
    data: Option<&str>,
    deadline: Option<Duration>,
    out: &Output,
) -> anyhow::Result<()> {
    let body = read(data)?;
    let request = Request::Call {
        service: target.service.clone(),
        method: target.method.clone(),
        deadline_ms: millis(deadline.unwrap_or(super::DEADLINE)),
        own_deadline: deadline.is_none(),
    };
    out.bytes(&client.pass(&request, &body)?)
}

pub(super) fn read(data: Option<&str>) -> anyhow::Result<Vec<u8>> {
    match data {
        None => Ok(Vec::new()),
        Some("-") => whole(io::stdin().lock()).otherwise(Code::NotRead, || "failed to read stdin"),
        Some(text) => match text.strip_prefix('@') {
            Some(file) => File::open(file).and_then(whole).map_err(|error| unread(file, &error)),
            None => Ok(text.as_bytes().to_vec()),
        },
    }
}

/// A file that is to be read.
pub(super) fn opened(file: &str) -> anyhow::Result<File> {
    File::open(file).map_err(|error| unread(file, &error))
}

fn unread(file: &str, error: &io::Error) -> anyhow::Error {
    let is_missing = error.kind() == io::ErrorKind::NotFound;
    let (exit, code) =
        if is_missing { (Exit::NotFound, Code::NoSuchFile) } else { (Exit::Failed, Code::NotRead) };
    Failure::new(exit, code, format!("failed to read `{file}`: {error}")).into()
}

/// All there is, or a byte more than can be sent: some files have no end.
fn whole(from: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_BODY as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_end_is_read_until_it_is_too_much() {
        assert_eq!(whole(&b"abc"[..]).unwrap(), b"abc");
        assert_eq!(whole(io::repeat(0)).unwrap().len(), MAX_BODY + 1);
    }
}
