//! `hotbay explain CODE`: what a code is about. It needs no host.

use super::output::{Output, one_line};
use crate::control::exit::Exit;
use crate::control::protocol::Failure;
use crate::error::{Code, Explanation, NoCode, nearest, page};

/// So many codes are told where there is none of the number.
const NEAR: usize = 3;

pub(super) fn explain(code: Option<&str>, as_page: bool, out: &Output) -> anyhow::Result<()> {
    if as_page {
        return out.text(&page());
    }
    let Some(text) = code else { return list(out) };
    let explanation = find(text)?.explanation();
    if out.is_json() { out.json(explanation) } else { out.text(&screen(explanation)) }
}

fn find(text: &str) -> Result<Code, Failure> {
    text.parse().map_err(|error: NoCode| {
        let (exit, advice) = match &error {
            NoCode::Malformed => (Exit::Usage, "`hotbay explain` lists them all".to_owned()),
            NoCode::Unknown { number } => {
                let near: Vec<String> = nearest(*number, NEAR).iter().map(Code::to_string).collect();
                (Exit::NotFound, format!("near it are {}; `hotbay explain` lists them all", near.join(", ")))
            }
        };
        let message = format!("failed to find the code `{}`: {error}; {advice}", one_line(text));
        Failure::new(exit, Code::NoSuchCode, message)
    })
}

fn list(out: &Output) -> anyhow::Result<()> {
    let all: Vec<&Explanation> = Code::ALL.iter().map(|code| code.explanation()).collect();
    if out.is_json() {
        return out.json(&all);
    }
    let row = |of: &&Explanation| vec![of.code.to_string(), of.blame.to_string(), of.title.to_owned()];
    out.table(&["CODE", "BLAME", "TITLE"], &all.iter().map(row).collect::<Vec<_>>())
}

fn screen(of: &Explanation) -> String {
    let mut lines =
        vec![format!("{}: {}", of.code, of.title), String::new(), of.meaning.to_owned(), String::new()];
    let mut told = |what: &str, sentences: &[&str]| {
        lines.extend(sentences.iter().map(|sentence| format!("  {what:<9}  {sentence}")));
    };
    told("blame", &[&of.blame.to_string()]);
    told("causes", of.causes);
    told("unchanged", &[of.unchanged]);
    told("next", of.next);
    told("example", &[&format!("[{}] {}", of.code, of.example)]);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::Args;

    #[test]
    fn a_code_is_found_in_any_case_and_by_its_number() {
        for text in ["HB0204", "hb0204", "204", "0204", " Hb0204 "] {
            assert_eq!(find(text).unwrap(), Code::Damaged, "{text}");
        }
    }

    #[test]
    fn what_is_no_code_is_told_from_a_number_that_nothing_has() {
        for text in ["", "HB", "x204", "HB02x4", "-204", "HB99999999999"] {
            assert_eq!(find(text).unwrap_err().exit, Exit::Usage, "{text}");
        }
        let unknown = find("HB0299").unwrap_err();
        assert_eq!(unknown.exit, Exit::NotFound);
        assert!(unknown.message.contains("near it are HB0222, HB0223, HB0240"), "{}", unknown.message);
    }

    #[test]
    fn each_command_that_is_named_can_be_typed() {
        for explanation in Code::ALL.iter().map(|code| code.explanation()) {
            let texts = explanation.next.iter().chain([&explanation.meaning]).chain(explanation.causes);
            let commands = texts.flat_map(|text| text.split('`').skip(1).step_by(2));
            for command in commands.filter(|command| command.starts_with("hotbay ") && !command.contains('…'))
            {
                let parsed = Args::try_parse_from(command.split(' '));
                let asks_for_help = |error: &clap::Error| !error.use_stderr();
                let is_part =
                    matches!(command, "hotbay rollback" | "hotbay state import" | "hotbay trust remove");
                let is_good = parsed.as_ref().is_ok() || parsed.as_ref().is_err_and(asks_for_help) || is_part;
                assert!(is_good, "{}: `{command}`: {}", explanation.code, parsed.unwrap_err());
            }
        }
    }
}
