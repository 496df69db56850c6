//! What is printed: one table, or one array.

use anyhow::Result;
use serde::Serialize;

/// A line of the table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// The median. None where nothing was measured; the note says why.
    #[serde(flatten)]
    pub(crate) amount: Measured,
    /// Over the control, the median of the rounds' ratios.
    pub(crate) ratio: Option<f64>,
    /// The control.
    pub(crate) to: Option<String>,
    /// What it is to reach.
    pub(crate) goal: Option<String>,
    /// Whether it does. Null where there is no goal, and where it could not be measured.
    pub(crate) holds: Option<bool>,
    pub(crate) note: Option<String>,
}

/// An amount, where there is one: in JSON as `ns`, of memory as `bytes`.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(into = "Fields")]
pub(crate) struct Measured(pub(crate) Option<Amount>);

#[derive(Serialize)]
struct Fields {
    ns: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<f64>,
}

impl From<Measured> for Fields {
    fn from(Measured(amount): Measured) -> Self {
        match amount {
            None => Self { ns: None, bytes: None },
            Some(Amount::PerCall(ns) | Amount::Long(ns)) => Self { ns: Some(ns), bytes: None },
            Some(Amount::Bytes(bytes)) => Self { ns: None, bytes: Some(bytes) },
        }
    }
}

/// A time or a size, and in which unit people read it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Amount {
    /// Of a call, nanoseconds.
    PerCall(f64),
    /// Of something longer, nanoseconds.
    Long(f64),
    /// Of memory.
    Bytes(f64),
}

impl Line {
    pub(crate) fn new(name: impl Into<String>, amount: Amount) -> Self {
        let (name, amount) = (name.into(), Measured(Some(amount)));
        Self { name, amount, ratio: None, to: None, goal: None, holds: None, note: None }
    }

    /// A line that tells why it holds nothing.
    pub(crate) fn not_measured(name: impl Into<String>, reason: String) -> Self {
        let (name, note) = (name.into(), Some(reason));
        Self { name, amount: Measured(None), ratio: None, to: None, goal: None, holds: None, note }
    }

    pub(crate) fn compare(&mut self, control: impl Into<String>, ratio: f64) {
        (self.ratio, self.to) = (Some(ratio), Some(control.into()));
    }

    /// `None`: it could not be measured.
    pub(crate) fn judge(&mut self, goal: String, holds: Option<bool>) {
        (self.goal, self.holds) = (Some(goal), holds);
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match *self {
            Self::PerCall(ns) if ns < 1000.0 => format!("{ns:.1} ns"),
            Self::PerCall(ns) | Self::Long(ns) if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
            Self::PerCall(ns) | Self::Long(ns) => format!("{:.2} ms", ns / 1e6),
            Self::Bytes(bytes) => format!("{:.1} MiB", bytes / f64::from(1 << 20)),
        };
        f.pad(&text)
    }
}

/// One array on stdout.
pub(crate) fn json(lines: &[Line]) -> Result<()> {
    println!("{}", serde_json::to_string(lines)?);
    Ok(())
}

/// One table on stdout.
pub(crate) fn table(lines: &[Line]) -> Result<()> {
    let head = ["", "median", "ratio", "to", "goal", "holds"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(lines.iter().map(cells)).collect();
    let widths: [usize; 5] =
        std::array::from_fn(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0));
    for row in rows {
        let [name, median, ratio, to, goal, holds] = row;
        let [a, b, c, d, e] = widths;
        let text = format!("{name:<a$}  {median:>b$}  {ratio:>c$}  {to:<d$}  {goal:<e$}  {holds}");
        println!("{}", text.trim_end());
    }
    Ok(())
}

fn cells(line: &Line) -> [String; 6] {
    let holds = match (&line.amount.0, &line.goal, line.holds) {
        (None, ..) | (_, Some(_), None) => "not measured",
        (_, None, _) => "",
        (_, Some(_), Some(true)) => "yes",
        (_, Some(_), Some(false)) => "NO",
    };
    let note = line.note.as_ref().map(|note| format!("({note})"));
    let holds = [Some(holds.to_owned()), note].into_iter().flatten().filter(|text| !text.is_empty());
    [
        line.name.clone(),
        line.amount.0.map(|amount| amount.to_string()).unwrap_or_default(),
        line.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        line.to.clone().unwrap_or_default(),
        line.goal.clone().unwrap_or_default(),
        holds.collect::<Vec<_>>().join(" "),
    ]
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
