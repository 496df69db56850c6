//! The bare cipher as the storage has it with its feature `aws-lc`: the crate `aws-lc-rs`.

use std::hint::black_box;

use anyhow::{Context as _, Result};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};

use super::{STAMP_BYTES, state};

/// One message of the bare cipher: sealed in its place, as that crate does it, and opened from one memory into another.
pub(super) struct Bare {
    cipher: LessSafeKey,
    sealing: Vec<u8>,
    body: Vec<u8>,
    plain: Vec<u8>,
    tag: Tag,
}

impl Bare {
    pub(super) fn new(len: usize) -> Result<Self> {
        let cipher =
            LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).ok().context("32 bytes are a key")?);
        let mut body = state(len);
        let sealed = cipher.seal_in_place_separate_tag(nonce(), Aad::from(&STAMP_BYTES), &mut body);
        let tag = sealed.ok().context("it is not too long")?;
        Ok(Self { cipher, sealing: state(len), body, plain: vec![1; len], tag })
    }

    pub(super) fn seal(&mut self) {
        let sealed =
            self.cipher.seal_in_place_separate_tag(nonce(), Aad::from(&STAMP_BYTES), &mut self.sealing);
        black_box(sealed.expect("it is not too long"));
        black_box(&self.sealing);
    }

    pub(super) fn open(&mut self) {
        let (ad, tag) = (Aad::from(&STAMP_BYTES), self.tag.as_ref());
        let opened = self.cipher.open_separate_gather(nonce(), ad, &self.body, tag, &mut self.plain);
        opened.expect("it was sealed when this was made");
        black_box(&self.plain);
    }
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}
