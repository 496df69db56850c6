//! `hotbay call NAME.METHOD`

use std::io::{self, Read as _};
use std::time::Duration;

use anyhow::Context as _;

use super::args::{Target, millis};
use super::output::Output;
use crate::control::client::Client;
use crate::control::exit::Exit;
use crate::control::protocol::{Failure, Request};

pub(super) fn call(
    client: &Client,
    target: &Target,
    data: Option<&str>,
    deadline: Duration,
    out: &Output,
) -> anyhow::Result<()> {
    let body = read(data)?;
    let request = Request::Call {
        service: target.service.clone(),
        method: target.method.clone(),
        deadline_ms: millis(deadline),
    };
    out.bytes(&client.pass(&request, &body)?)
}

fn read(data: Option<&str>) -> anyhow::Result<Vec<u8>> {
    match data {
        None => Ok(Vec::new()),
        Some("-") => {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).context("failed to read stdin")?;
            Ok(bytes)
        }
        Some(text) => match text.strip_prefix('@') {
            Some(file) => std::fs::read(file).map_err(|error| {
                let exit =
                    if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
                Failure::new(exit, format!("failed to read `{file}`: {error}")).into()
            }),
            None => Ok(text.as_bytes().to_vec()),
        },
    }
}
