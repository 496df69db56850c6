//! Offers files to a host, a batch at a time, and looks what becomes of each.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hotbay::control::protocol::Request;
use hotbay::kernel::view::{Phase, Row};

use crate::mutation::Kind;
use crate::report::Outcome;
use crate::served::{LOOK, PATIENCE, Served, Stage};

/// The code of a load that was not begun for want of room.
const PUT_OFF: &str = "HB0511";

/// A file beside its place, ready to take it.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) kind: Kind,
    /// The service that it says it is, or would be.
    pub(crate) service: String,
    number: u64,
    /// The fixture.
    pub(crate) library: String,
    beside: PathBuf,
    place: PathBuf,
    signature: Option<String>,
}

impl Offer {
    /// Writes it where no host looks.
    pub(crate) fn write(
        served: &Served,
        (kind, number, library): (Kind, u64, String),
        service: String,
        bytes: &[u8],
        signature: Option<&str>,
    ) -> Result<Self> {
        let place = served.place(&service);
        let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let beside = place.with_file_name(format!(".{name}.offered"));
        fs::write(&beside, bytes).context("failed to write a file that is to be offered")?;
        let signature = signature.map(ToOwned::to_owned);
        Ok(Self { kind, service, number, library, beside, place, signature })
    }

    /// Way, number and fixture, for whoever wants to see it again.
    pub(crate) fn what(&self) -> String {
        format!("{} {} ({})", self.kind.name(), self.number, self.library)
    }

    /// Puts it into its place, in one step, and its signature before.
    fn drop_in(&self) -> Result<()> {
        if let Some(signature) = &self.signature {
            fs::write(signature_of(&self.place), signature)?;
        }
        fs::rename(&self.beside, &self.place).context("failed to put a file into the plugins folder")
    }

    /// Takes it away. Windows: the host may be reading it.
    fn take_away(&self) -> Result<()> {
        let begun = Instant::now();
        while let Err(error) = fs::remove_file(&self.place) {
            if error.kind() != std::io::ErrorKind::PermissionDenied || begun.elapsed() > PATIENCE {
                return Err(error).context("failed to take a file away");
            }
            std::thread::sleep(LOOK);
        }
        if self.signature.is_some() {
            fs::remove_file(signature_of(&self.place))?;
        }
        Ok(())
    }
}

/// Where the signature of a file lies.
fn signature_of(place: &std::path::Path) -> PathBuf {
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(".minisig");
    place.with_file_name(name)
}

/// Drops a batch in; `meanwhile` is done while the host looks at it. What became of each, in their order.
pub(crate) fn offer<T>(
    served: &mut Served,
    batch: &[Offer],
    meanwhile: impl FnOnce(&Served) -> Result<T>,
) -> Result<(Vec<(Outcome, String)>, T)> {
    served.told().forget();
    for offer in batch {
        offer.drop_in()?;
    }
    let done = meanwhile(served)?;
    let rows = judged(served, batch)?;
    let told = served.told();
    let outcomes = batch.iter().map(|offer| {
        rows.get(&offer.place).map_or((Outcome::NotSeen, String::new()), |row| {
            (outcome(row, told.of(&offer.service)), row.reason.clone().unwrap_or_default())
        })
    });
    let outcomes = outcomes.collect();
    drop(told);
    Ok((outcomes, done))
}

/// Takes the batch away again, and waits until the host knows nothing of it any more.
pub(crate) fn take_away(served: &mut Served, batch: &[Offer]) -> Result<()> {
    for offer in batch {
        offer.take_away()?;
    }
    let begun = Instant::now();
    loop {
        let rows = served.rows()?;
        let left =
            rows.iter().find(|row| batch.iter().any(|offer| row.source.as_ref() == Some(&offer.place)));
        let Some(row) = left else { return Ok(()) };
        if row.reason.as_ref().is_some_and(|reason| reason.contains("--force")) {
            // As where the schema that it says it writes was changed: it serves on rather than lose its state, until somebody has it
            // stopped. It may be gone by now.
            let stop = Request::Stop { name: row.name.clone(), force: true, deadline_ms: 10_000 };
            let _ = served.client().ask::<serde_json::Value>(&stop);
        }
        if begun.elapsed() > PATIENCE {
            bail!("the host holds on to a file that is gone: {row:?}");
        }
        std::thread::sleep(LOOK);
    }
}

/// Waits until the host has done with each: by file, where it says that it is.
fn judged(served: &mut Served, batch: &[Offer]) -> Result<BTreeMap<PathBuf, Row>> {
    let begun = Instant::now();
    loop {
        let rows: BTreeMap<PathBuf, Row> =
            served.rows()?.into_iter().filter_map(|row| Some((row.source.clone()?, row))).collect();
        let is_open = |offer: &&Offer| {
            rows.get(&offer.place).is_none_or(|row| {
                // What waits for a service that nobody provides waits for good, and says so; what was put off for want of room comes again.
                row.phase == Phase::Swapping
                    || row.phase == Phase::Starting && row.reason.is_none()
                    || row.code.as_deref() == Some(PUT_OFF)
            })
        };
        let open = batch.iter().filter(is_open).count();
        if open == 0 || begun.elapsed() > PATIENCE {
            return Ok(rows);
        }
        std::thread::sleep(LOOK.max(Duration::from_millis(u64::try_from(open / 4).unwrap_or_default())));
    }
}

fn outcome(row: &Row, stage: Option<Stage>) -> Outcome {
    let reason = row.reason.as_deref().unwrap_or_default();
    let of_trust =
        reason.starts_with("failed to trust it") || reason.starts_with("failed to read its signature");
    match row.phase {
        Phase::Running | Phase::Swapping | Phase::Stopped => Outcome::Started,
        Phase::Rejected if stage.is_none() && of_trust => Outcome::Distrusted,
        Phase::Rejected if stage.is_none() => Outcome::Unread,
        Phase::Starting => Outcome::Waits,
        _ if stage >= Some(Stage::Probed) => Outcome::Faulted,
        Phase::Rejected => Outcome::Probed,
        _ => Outcome::Waits,
    }
}
