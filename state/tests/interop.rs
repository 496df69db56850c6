//! What we seal, somebody else opens who has read FORMAT.md: `open.py`, which shares no code with us.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use hotbay_state::{Key, Sealer, Stamp};

const STAMP: Stamp<'_> = Stamp {
    service: "echo",
    plugin: "echo",
    plugin_version: "1.0.0",
    schema: 3,
    sequence: 7,
    generation: 2,
    content_type: "application/octet-stream",
};

fn manifest(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The interpreter, if it is there and has the package. Where it is not, that is said so that nobody can miss it.
fn python() -> Option<&'static str> {
    let works = |python: &&str| {
        let run = Command::new(python).args(["-c", "import cryptography"]).output();
        run.is_ok_and(|output| output.status.success())
    };
    let found = ["python3", "python"].into_iter().find(works);
    if found.is_none() {
        // Not by a macro, whose text the test harness would keep to itself.
        let _ = writeln!(
            std::io::stderr(),
            "\nWARNING  NOT CHECKED: that others can open our files, since there is no Python with the package `cryptography`"
        );
    }
    found
}

/// A line for each capsule, of what the script says of it.
fn judged(python: &str, key: &[u8], capsules: &[PathBuf]) -> Vec<String> {
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut script = Command::new(python);
    let output = script.arg(manifest("tests/open.py")).args([&hex, "echo"]).args(capsules).output();
    let output = output.expect("it ran a moment ago");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("it prints text");
    text.lines().map(|line| line.trim_end().to_owned()).collect()
}

fn opened(state: &[u8]) -> String {
    let hex: String = state.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("opened {hex}").trim_end().to_owned()
}

fn key(len: u8) -> Vec<u8> {
    (0..len).collect()
}

#[test]
fn another_implementation_opens_what_we_seal() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    for (key_len, lens) in [(16, &[65_536][..]), (24, &[200_000]), (32, &[0, 11, 3 * 65_536 + 1])] {
        let bytes = key(key_len);
        let key = Key::new(&bytes).expect("it has the length of a key");
        let (mut files, mut expected) = (Vec::new(), Vec::new());
        for len in lens {
            let plain: Vec<u8> = (0..*len).map(|i| u8::try_from(i % 251).expect("below 251")).collect();
            let mut sealer = Sealer::new(&key, &STAMP, None, Vec::new()).expect("the stamp is good");
            sealer.write_all(&plain).expect("there is memory");
            let (streamed, _) = sealer.finish().expect("there is memory");
            for capsule in [hotbay_state::seal(&key, &STAMP, &plain).expect("the stamp is good"), streamed] {
                files.push(folder.path().join(format!("{key_len}-{}", files.len())));
                fs::write(&files[files.len() - 1], capsule).expect("the folder can be written to");
                expected.push(opened(&plain));
            }
        }
        assert!(judged(python, &bytes, &files) == expected, "a key of {key_len} bytes");
    }
}

#[test]
fn another_implementation_judges_the_vectors_as_we_do() {
    let Some(python) = python() else { return };
    let folder = fs::read_dir(manifest("vectors/2")).expect("the vectors are there");
    let all: Vec<PathBuf> = folder.map(|entry| entry.expect("the vectors are there").path()).collect();
    for key_len in [16, 24, 32] {
        let bytes = key(key_len);
        let key = Key::new(&bytes).expect("it has the length of a key");
        let name = |path: &Path| path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let of_key = |path: &&PathBuf| match &*name(path) {
            "good-aes-128" => key_len == 16,
            "good-aes-192" => key_len == 24,
            _ => key_len == 32,
        };
        let files: Vec<PathBuf> = all.iter().filter(of_key).cloned().collect();
        for (path, theirs) in files.iter().zip(judged(python, &bytes, &files)) {
            let name = name(path);
            let ours = hotbay_state::open(&key, "echo", &fs::read(path).expect("a vector can be read"));
            assert_eq!(ours.is_ok(), name.starts_with("good-"), "{name}: {ours:?}");
            match ours {
                Ok(ours) => assert_eq!(theirs, opened(&ours.plain), "{name}"),
                Err(error) => assert!(theirs.starts_with("refused"), "{name}: {theirs}, {error}"),
            }
        }
    }
}
