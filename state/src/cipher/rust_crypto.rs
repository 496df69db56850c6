//! AES-GCM by the crate `aes-gcm`: Rust all the way down, on the processor's own instructions where it has them.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::aes::Aes192;
use aes_gcm::aes::cipher::consts::{U12, U16};
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm};

use super::{Aead, Cipher, NONCE, Refused, TAG};

type Aes192Gcm = AesGcm<Aes192, U12>;

/// One of the three, keyed once for all chunks of a capsule.
struct Gcm<C>(C);

pub(super) fn keyed(cipher: Cipher, key: &[u8]) -> Box<dyn Aead> {
    match cipher {
        Cipher::Aes128Gcm => boxed::<Aes128Gcm>(key),
        Cipher::Aes192Gcm => boxed::<Aes192Gcm>(key),
        Cipher::Aes256Gcm => boxed::<Aes256Gcm>(key),
    }
}

fn boxed<C>(key: &[u8]) -> Box<dyn Aead>
where
    C: KeyInit + AeadInOut<NonceSize = U12, TagSize = U16> + Send + Sync + 'static,
{
    Box::new(Gcm(C::new_from_slice(key).expect("derived with the length that the cipher asks for")))
}

impl<C: AeadInOut<NonceSize = U12, TagSize = U16> + Send + Sync> Aead for Gcm<C> {
    fn seal(
        &self,
        nonce: &[u8; NONCE],
        ad: &[u8],
        plain: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; TAG], Refused> {
        let both = InOutBuf::new(plain, body).map_err(|_| Refused)?;
        self.0.encrypt_inout_detached(nonce.into(), ad, both).map(Into::into).map_err(|_| Refused)
    }

    fn open(
        &self,
        nonce: &[u8; NONCE],
        ad: &[u8],
        body: &[u8],
        tag: &[u8; TAG],
        plain: &mut [u8],
    ) -> Result<(), Refused> {
        let both = InOutBuf::new(body, plain).map_err(|_| Refused)?;
        self.0.decrypt_inout_detached(nonce.into(), ad, both, tag.into()).map_err(|_| Refused)
    }
}
