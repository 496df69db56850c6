//! Which services a command is for, and what is wanted of a breaker.

use clap::ValueEnum;

use crate::Which;
use crate::kernel::view::BreakerForce;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Services {
    /// The services
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    pub(in crate::cli) names: Vec<String>,
    /// All of them, in the order of what they require
    #[arg(long)]
    pub(in crate::cli) all: bool,
    /// Only say what would be done, in which order
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
}

impl Services {
    /// The one that is named, where it is one.
    pub(in crate::cli) fn one(&self) -> Option<&str> {
        match &*self.names {
            [name] if !self.dry_run => Some(name),
            _ => None,
        }
    }

    pub(in crate::cli) fn which(self) -> Which {
        if self.all { Which::All } else { Which::Named(self.names) }
    }
}

/// What is wanted of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum BreakerWanted {
    Open,
    Close,
    Auto,
}

impl BreakerWanted {
    pub(in crate::cli) fn force(self) -> Option<BreakerForce> {
        match self {
            BreakerWanted::Open => Some(BreakerForce::Open),
            BreakerWanted::Close => Some(BreakerForce::Close),
            BreakerWanted::Auto => None,
        }
    }
}
