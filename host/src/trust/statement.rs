//! The signed statement: what a signature says of the file beside that it fits, in its trusted comment, which is signed too.
//!
//! `hotbay:1 name=echo version=1.2.0 target=x86_64-unknown-linux-gnu contract=1.0 blake3=… security=3`, in this order. A
//! signature of the stock `minisign` has none: then the bytes alone are signed. As the manifest lies in them, name, version
//! and contract are bound all the same; the security version is 0.

use hotbay_plugin_api::manifest::Manifest;

use crate::verify::Digest;

/// The first word of the comment.
const KIND: &str = "hotbay:1";

/// What is stated of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) target: String,
    pub(crate) contract: String,
    pub(crate) digest: String,
    pub(crate) security: u64,
}

impl Statement {
    /// What is true of a file.
    #[cfg(any(feature = "cli", test))]
    pub(crate) fn of(manifest: &Manifest, digest: &Digest, security: u64) -> Self {
        Self {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            target: manifest.target.clone(),
            contract: manifest.contract.clone(),
            digest: digest.as_str().to_owned(),
            security,
        }
    }

    /// Reads a trusted comment. `Ok(None)` where it states nothing of this kind.
    pub(crate) fn parse(comment: &str) -> Result<Option<Self>, String> {
        if !comment.starts_with("hotbay:") {
            return Ok(None);
        }
        let mut words = comment.split(' ');
        let kind = words.next().unwrap_or_default();
        if kind != KIND {
            return Err(format!("it is a statement of the kind `{kind}`, and this host reads `{KIND}`"));
        }
        let mut field = |name: &str| {
            let word = words.next().unwrap_or_default();
            let value = word.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
            value
                .filter(|value| !value.is_empty())
                .map(str::to_owned)
                .ok_or_else(|| format!("its statement has `{word}` where `{name}=…` belongs"))
        };

        let statement = Self {
            name: field("name")?,
            version: field("version")?,
            target: field("target")?,
            contract: field("contract")?,
            digest: field("blake3")?,
            security: {
                let digits = field("security")?;
                // One number has one way to be written.
                digits
                    .parse()
                    .ok()
                    .filter(|number: &u64| number.to_string() == digits)
                    .ok_or_else(|| format!("its statement's security version `{digits}` is no number"))?
            },
        };
        match words.next() {
            Some(word) => Err(format!("its statement goes on with `{word}`, which this host does not know")),
            None => Ok(Some(statement)),
        }
    }

    /// Where it does not fit a file, in words.
    pub(crate) fn contradicts(&self, manifest: &Manifest, digest: &Digest) -> Option<String> {
        let pairs = [
            ("service", &self.name, manifest.name.as_str()),
            ("version", &self.version, &manifest.version),
            ("target", &self.target, &manifest.target),
            ("contract", &self.contract, &manifest.contract),
            ("digest", &self.digest, digest.as_str()),
        ];
        let (what, said, is) = pairs.into_iter().find(|(_, said, is)| *said != is)?;
        Some(format!("it was made for {what} `{said}`, and the file is of {what} `{is}`"))
    }
}

impl std::fmt::Display for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, version, target, contract, digest, security } = self;
        write!(
            f,
            "{KIND} name={name} version={version} target={target} contract={contract} blake3={digest} security={security}"
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn statement() -> Statement {
        Statement {
            name: "echo".to_owned(),
            version: "1.0.0".to_owned(),
            target: "x86_64-unknown-linux-gnu".to_owned(),
            contract: "1.0".to_owned(),
            digest: "ab".repeat(32),
            security: 3,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = statement().to_string();
        assert_eq!(Statement::parse(&text), Ok(Some(statement())));
        assert_eq!(Statement::parse("timestamp:1\tfile:libecho.so\thashed"), Ok(None));
    }

    #[test]
    fn what_is_not_quite_a_statement_is_an_error_and_never_none() {
        let whole = statement().to_string();
        let wrong = [
            whole.replace("hotbay:1", "hotbay:2"),
            whole.replace("hotbay:1", "hotbay:"),
            whole.replace("name=echo ", ""),
            whole.replace("name=echo", "name="),
            whole.replace("security=3", "security=03"),
            whole.replace("security=3", "security=-1"),
            whole.replace("security=3", "security=18446744073709551616"),
            whole.replace(" security=3", ""),
            whole.replace(" version", "  version"),
            format!("{whole} more=1"),
            format!("{whole} "),
        ];
        for text in wrong {
            assert!(Statement::parse(&text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_statement_comes_back(name in "[a-z0-9_-]{1,64}", version in "[0-9]\\.[0-9]\\.[0-9](-[a-z]+)?", security: u64) {
            let statement = Statement { name, version, security, ..statement() };
            prop_assert_eq!(Statement::parse(&statement.to_string()), Ok(Some(statement)));
        }

        #[test]
        fn any_comment_is_read_without_a_panic_and_in_one_way_only(comment in "(hotbay:1? )?[ -~\\PC]{0,200}") {
            if let Ok(Some(statement)) = Statement::parse(&comment) {
                prop_assert_eq!(statement.to_string(), comment);
            }
        }

        #[test]
        fn a_changed_statement_is_another_or_an_error(at in 0usize..200, to in "[ -~]") {
            let text = statement().to_string();
            let at = at % text.len();
            let changed = format!("{}{to}{}", &text[..at], &text[at + 1..]);
            if changed != text && !changed.is_empty() {
                prop_assert_ne!(Statement::parse(&changed), Ok(Some(statement())));
            }
        }
    }
}
