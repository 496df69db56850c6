//! The bare cipher as the storage has it by default: the crate `aes-gcm`.

use std::hint::black_box;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use anyhow::{Context as _, Result};

use super::{STAMP_BYTES, state};

/// One message of the bare cipher, from memory that is there into memory that is there.
pub(super) struct Bare {
    cipher: Aes256Gcm,
    plain: Vec<u8>,
    body: Vec<u8>,
    tag: Tag,
}

impl Bare {
    pub(super) fn new(len: usize) -> Result<Self> {
        let cipher = Aes256Gcm::new_from_slice(&[7; 32]).ok().context("32 bytes are a key")?;
        let mut bare = Self { cipher, plain: state(len), body: vec![1; len], tag: Tag::default() };
        bare.seal();
        Ok(bare)
    }

    pub(super) fn seal(&mut self) {
        let both = InOutBuf::new(&self.plain, &mut self.body).expect("of one length");
        let sealed = self.cipher.encrypt_inout_detached(&Nonce::default(), &STAMP_BYTES, both);
        self.tag = sealed.expect("it is not too long");
        black_box(&self.body);
    }

    pub(super) fn open(&mut self) {
        let both = InOutBuf::new(&self.body, &mut self.plain).expect("of one length");
        let opened = self.cipher.decrypt_inout_detached(&Nonce::default(), &STAMP_BYTES, both, &self.tag);
        opened.expect("it was sealed a moment ago");
        black_box(&self.plain);
    }
}
