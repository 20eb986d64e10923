//! The keys under which variables and connections are kept. The first seals; all of them open, so that a new
//! key can be put before the old one until everything is sealed anew.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead, Generate, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};

/// The form of what is sealed: `v1.KEY.BASE64(nonce, ciphertext)`.
const FORM: &str = "v1";
const NONCE_BYTES: usize = 24;

/// The words never hold a key or what is sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error(
        "key {0} is not 32 bytes in URL-safe base64; `towpath encryption-key generate` makes one"
    )]
    NotAKey(usize),
    #[error(
        "there is no key to seal it with; set TOWPATH_ENCRYPTION_KEYS, for which `towpath \
         encryption-key generate` makes one"
    )]
    None,
    #[error("it was sealed with key {sealed}, and TOWPATH_ENCRYPTION_KEYS has {known}")]
    Unknown { sealed: String, known: String },
    #[error("what is stored is damaged, or was moved here from another name")]
    Damaged,
}

struct Named {
    /// The beginning of the key's hash: tells keys apart and tells nothing of them.
    id: String,
    cipher: XChaCha20Poly1305,
}

#[derive(Default)]
pub struct Keyring(Vec<Named>);

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "keys {}", self.ids())
    }
}

impl Keyring {
    /// Keys in base64, separated by commas; none is a ring that opens nothing.
    pub fn read(text: &str) -> Result<Self, KeyError> {
        let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
        let keys = (1..).zip(texts).map(|(number, text)| {
            let bytes = BASE64.decode(text.trim_end_matches('=')).ok();
            let bytes = bytes.filter(|bytes| bytes.len() == 32).ok_or(KeyError::NotAKey(number))?;
            let key = Key::try_from(bytes.as_slice()).map_err(|_| KeyError::NotAKey(number))?;
            let hash = Sha256::digest(&bytes);
            let id = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            Ok(Named { id, cipher: XChaCha20Poly1305::new(&key) })
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// A new key, as [`Keyring::read`] takes it.
    pub fn generate() -> String {
        BASE64.encode(Key::generate())
    }

    /// The key that seals, by name.
    pub fn sealing(&self) -> Result<&str, KeyError> {
        self.0.first().map(|key| key.id.as_str()).ok_or(KeyError::None)
    }

    /// Sealed for this place: elsewhere it does not open.
    pub fn seal(&self, place: &str, text: &str) -> Result<String, KeyError> {
        let key = self.0.first().ok_or(KeyError::None)?;
        let nonce = XNonce::generate();
        let payload = Payload { msg: text.as_bytes(), aad: place.as_bytes() };
        let sealed = key.cipher.encrypt(&nonce, payload).map_err(|_| KeyError::Damaged)?;
        let bytes = [nonce.as_slice(), &sealed].concat();
        Ok(format!("{FORM}.{}.{}", key.id, BASE64.encode(bytes)))
    }

    pub fn open(&self, place: &str, sealed: &str) -> Result<String, KeyError> {
        let mut parts = sealed.splitn(3, '.');
        let (Some(FORM), Some(id), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Damaged);
        };
        let key = self.0.iter().find(|key| key.id == id);
        let key = key.ok_or_else(|| KeyError::Unknown { sealed: id.into(), known: self.ids() })?;
        let bytes = BASE64.decode(text).map_err(|_| KeyError::Damaged)?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or(KeyError::Damaged)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| KeyError::Damaged)?;
        let payload = Payload { msg: sealed, aad: place.as_bytes() };
        let opened = key.cipher.decrypt(&nonce, payload).map_err(|_| KeyError::Damaged)?;
        String::from_utf8(opened).map_err(|_| KeyError::Damaged)
    }

    fn ids(&self) -> String {
        let ids: Vec<&str> = self.0.iter().map(|key| key.id.as_str()).collect();
        if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_in_its_place_alone() {
        let (old, new) = (Keyring::generate(), Keyring::generate());
        let before = Keyring::read(&old).expect("a key");
        let rotated = Keyring::read(&format!("{new},{old}")).expect("keys");
        let after = Keyring::read(&new).expect("a key");
        let sealed = before.seal("connection:db", "hunter2").expect("sealed");
        assert!(!sealed.contains("hunter2"));
        assert_eq!(rotated.open("connection:db", &sealed).as_deref(), Ok("hunter2"));
        assert_eq!(rotated.open("connection:other", &sealed), Err(KeyError::Damaged));
        let words = after.open("connection:db", &sealed).expect_err("the old key is gone");
        assert!(words.to_string().contains(before.sealing().expect("a key")), "{words}");
        let anew = rotated.seal("connection:db", "hunter2").expect("sealed");
        assert_eq!(after.open("connection:db", &anew).as_deref(), Ok("hunter2"));
        assert_ne!(rotated.seal("x", "y"), rotated.seal("x", "y"), "no two are alike");
    }

    #[test]
    fn what_is_no_key_is_told_by_its_place() {
        let two = format!("{},hunter2", Keyring::generate());
        let words = Keyring::read(&two).expect_err("the second is none").to_string();
        assert!(words.starts_with("key 2 is not 32 bytes") && !words.contains("hunter2"));
        let none = Keyring::read("").expect("empty");
        assert_eq!(none.seal("x", "y"), Err(KeyError::None));
        assert_eq!(
            none.open("x", "v1.0.garbage").map_err(|e| e.to_string().contains("none")),
            Err(true)
        );
        assert_eq!(none.open("x", "garbage"), Err(KeyError::Damaged));
    }
}
