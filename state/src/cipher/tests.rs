use super::*;

/// Each implementation that is compiled in.
fn all(cipher: Cipher, key: &[u8]) -> Vec<(&'static str, Box<dyn Aead>)> {
    vec![
        ("aes-gcm", rust_crypto::keyed(cipher, key)),
        #[cfg(feature = "aws-lc")]
        ("aws-lc-rs", aws_lc::keyed(cipher, key)),
    ]
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn published_test_cases_come_out_for_all_three_key_lengths() {
    let page = include_str!("../../vectors/aes-gcm.txt");
    let mut lengths = Vec::new();
    for case in page.split("\ncase ").skip(1) {
        let field = |name: &str| {
            let line = case.lines().find_map(|line| line.strip_prefix(name));
            hex(line.unwrap_or_else(|| panic!("{case}: {name}")).trim())
        };
        let [key, nonce, ad, plain, body, tag] = ["key", "nonce", "ad", "plain", "body", "tag"].map(field);
        let (nonce, tag) = (nonce.try_into().unwrap(), tag.try_into().unwrap());
        lengths.push(key.len());
        for (name, aead) in all(Cipher::for_key(key.len()).unwrap(), &key) {
            let (mut sealed, mut opened) = (vec![0; plain.len()], vec![0; plain.len()]);
            assert_eq!(aead.seal(&nonce, &ad, &plain, &mut sealed).unwrap(), tag, "{name}: {case}");
            assert_eq!(sealed, body, "{name}: {case}");
            aead.open(&nonce, &ad, &body, &tag, &mut opened).unwrap();
            assert_eq!(opened, plain, "{name}: {case}");
            for at in 0..TAG {
                let mut tag = tag;
                tag[at] ^= 1;
                aead.open(&nonce, &ad, &body, &tag, &mut opened).unwrap_err();
            }
            aead.open(&nonce, &[&ad[..], b"!"].concat(), &body, &tag, &mut opened).unwrap_err();
        }
    }
    assert_eq!(lengths, [16, 16, 16, 16, 24, 24, 24, 24, 32, 32, 32, 32]);
}

#[test]
fn what_wycheproof_calls_valid_comes_out_and_what_it_calls_invalid_is_refused() {
    let page = include_str!("../../vectors/wycheproof-aes-gcm.txt");
    let mut counted = std::collections::BTreeMap::new();
    for case in page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let fields: Vec<&str> = case.split(" # ").next().unwrap_or_default().split(' ').collect();
        let [_number, result, fields @ ..] = &fields[..] else { panic!("{case}") };
        let fields: Vec<Vec<u8>> = fields.iter().map(|field| hex(field.trim_matches('-'))).collect();
        let [key, nonce, ad, plain, body, tag] = &fields[..] else { panic!("{case}") };
        let (nonce, tag) = (&nonce[..].try_into().unwrap(), &tag[..].try_into().unwrap());
        for (name, aead) in all(Cipher::for_key(key.len()).unwrap(), key) {
            let (mut sealed, mut opened) = (vec![0; plain.len()], vec![0; body.len()]);
            let made = aead.seal(nonce, ad, plain, &mut sealed).unwrap();
            let is_open = aead.open(nonce, ad, body, tag, &mut opened).is_ok();
            match *result {
                "valid" => {
                    assert!(is_open && opened == *plain, "{name} opens: {case}");
                    assert!(sealed == *body && made == *tag, "{name} seals: {case}");
                }
                "invalid" => {
                    assert!(!is_open, "{name} opens what was changed: {case}");
                    assert!(sealed != *body || made != *tag, "{name} seals as what was changed: {case}");
                }
                other => panic!("{other}: {case}"),
            }
        }
        *counted.entry((key.len(), *result)).or_insert(0) += 1;
    }
    let [valid, invalid] = ["valid", "invalid"].map(|result| [16, 24, 32].map(|len| counted[&(len, result)]));
    assert_eq!((valid, invalid), ([40, 37, 39], [27, 27, 27]), "197 cases");
}

#[test]
fn what_one_implementation_seals_each_other_one_opens() {
    for len in [16, 24, 32] {
        let cipher = Cipher::for_key(len).unwrap();
        let implementations = all(cipher, &vec![7; len]);
        for (one, sealer) in &implementations {
            for (other, opener) in &implementations {
                for plain in [vec![], vec![1], vec![2; 1000], vec![3; 65_536]] {
                    let (mut body, mut back) = (vec![0; plain.len()], vec![0; plain.len()]);
                    let tag = sealer.seal(&[9; NONCE], b"header", &plain, &mut body).unwrap();
                    opener.open(&[9; NONCE], b"header", &body, &tag, &mut back).unwrap();
                    assert!(back == plain, "{one} {other}");
                }
            }
        }
    }
}

#[test]
fn buffers_of_two_lengths_are_refused() {
    for (name, aead) in all(Cipher::Aes256Gcm, &[7; 32]) {
        assert!(aead.seal(&[0; NONCE], b"", b"state", &mut [0; 4]).is_err(), "{name}");
        assert!(aead.open(&[0; NONCE], b"", b"state", &[0; TAG], &mut [0; 6]).is_err(), "{name}");
    }
}
