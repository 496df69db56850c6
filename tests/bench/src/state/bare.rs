//! The crates of the ciphers: one message, no file format.

use std::hint::black_box;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Tag};
use anyhow::{Context as _, Result};

use super::bytes;

/// A cipher that can be measured.
pub(super) trait Bare: Sized + Send + 'static {
    fn new(len: usize) -> Result<Self>;
    fn seal(&mut self);
    fn open(&mut self);
}

/// As long as a header.
const AD: [u8; 160] = [9; 160];

/// `aes-gcm`: from memory that is there into memory that is there.
pub(super) struct AesGcm {
    cipher: Aes256Gcm,
    plain: Vec<u8>,
    body: Vec<u8>,
    tag: Tag,
}

impl Bare for AesGcm {
    fn new(len: usize) -> Result<Self> {
        let cipher = Aes256Gcm::new_from_slice(&[7; 32]).ok().context("32 bytes are a key")?;
        let mut bare = Self { cipher, plain: bytes(len), body: vec![1; len], tag: Tag::default() };
        bare.seal();
        Ok(bare)
    }

    fn seal(&mut self) {
        let both = InOutBuf::new(&self.plain, &mut self.body).expect("of one length");
        let sealed = self.cipher.encrypt_inout_detached(&aes_gcm::Nonce::default(), &AD, both);
        self.tag = sealed.expect("it is not too long");
        black_box(&self.body);
    }

    fn open(&mut self) {
        let both = InOutBuf::new(&self.body, &mut self.plain).expect("of one length");
        let opened = self.cipher.decrypt_inout_detached(&aes_gcm::Nonce::default(), &AD, both, &self.tag);
        opened.expect("it was sealed a moment ago");
        black_box(&self.plain);
    }
}

#[cfg(feature = "aws-lc")]
pub(super) use aws_lc::AwsLc;

#[cfg(feature = "aws-lc")]
mod aws_lc {
    use std::hint::black_box;

    use anyhow::{Context as _, Result};
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

    use super::{AD, Bare, bytes};

    /// `aws-lc-rs`, likewise.
    pub(in super::super) struct AwsLc {
        cipher: LessSafeKey,
        plain: Vec<u8>,
        body: Vec<u8>,
        tag: [u8; 16],
    }

    impl Bare for AwsLc {
        fn new(len: usize) -> Result<Self> {
            let key = UnboundKey::new(&AES_256_GCM, &[7; 32]).ok().context("32 bytes are a key")?;
            let cipher = LessSafeKey::new(key);
            let mut bare = Self { cipher, plain: bytes(len), body: vec![1; len], tag: [0; 16] };
            bare.seal();
            Ok(bare)
        }

        fn seal(&mut self) {
            let (ad, tag) = (Aad::from(&AD), &mut self.tag);
            let sealed =
                self.cipher.seal_out_of_place_scatter(nonce(), ad, &self.plain, &mut self.body, &[], tag);
            sealed.expect("it is not too long");
            black_box(&self.body);
        }

        fn open(&mut self) {
            let (ad, tag) = (Aad::from(&AD), &self.tag);
            let opened = self.cipher.open_separate_gather(nonce(), ad, &self.body, tag, &mut self.plain);
            opened.expect("it was sealed a moment ago");
            black_box(&self.plain);
        }
    }

    fn nonce() -> Nonce {
        Nonce::assume_unique_for_key([0; 12])
    }
}
