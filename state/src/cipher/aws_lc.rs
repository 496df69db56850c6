//! AES-GCM by `aws-lc-rs`: AWS's C and assembler, for states of which `aes-gcm` makes a wait.

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{Aead, Cipher, MAX_MESSAGE, NONCE, Refused, TAG};

/// Keyed once for all chunks of a capsule. "Less safe" is that the caller counts the nonces, as STREAM does.
struct Gcm(LessSafeKey);

pub(super) fn keyed(cipher: Cipher, key: &[u8]) -> Box<dyn Aead> {
    let algorithm = match cipher {
        Cipher::Aes128Gcm => &AES_128_GCM,
        Cipher::Aes192Gcm => &AES_192_GCM,
        Cipher::Aes256Gcm => &AES_256_GCM,
    };
    let key = UnboundKey::new(algorithm, key).expect("derived with the length that the cipher asks for");
    Box::new(Gcm(LessSafeKey::new(key)))
}

impl Aead for Gcm {
    fn seal(
        &self,
        nonce: &[u8; NONCE],
        ad: &[u8],
        plain: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; TAG], Refused> {
        if plain.len() != body.len() || plain.len() as u64 > MAX_MESSAGE {
            return Err(Refused);
        }
        let (nonce, mut tag) = (Nonce::assume_unique_for_key(*nonce), [0; TAG]);
        // Nothing beyond the message itself goes before the tag.
        let sealed = self.0.seal_out_of_place_scatter(nonce, Aad::from(ad), plain, body, &[], &mut tag);
        sealed.map(|()| tag).map_err(|_| Refused)
    }

    fn open(
        &self,
        nonce: &[u8; NONCE],
        ad: &[u8],
        body: &[u8],
        tag: &[u8; TAG],
        plain: &mut [u8],
    ) -> Result<(), Refused> {
        if plain.len() != body.len() || plain.len() as u64 > MAX_MESSAGE {
            return Err(Refused);
        }
        let nonce = Nonce::assume_unique_for_key(*nonce);
        self.0.open_separate_gather(nonce, Aad::from(ad), body, tag, plain).map_err(|_| Refused)
    }
}
