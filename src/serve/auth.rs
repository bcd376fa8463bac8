//! Who may use the registry: basic authentication (RFC 7617).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::oci::Secret;

use super::Error;

/// bcrypt is slow by design: more checks at a time than this would let strangers take every core.
const CHECKS: usize = 2;

/// Users and their passwords.
#[derive(Clone)]
pub struct Users(Arc<Inner>);

struct Inner {
    passwords: BTreeMap<String, Password>,
    /// Hashes of credentials that bcrypt has accepted, so that it runs once per user and not once per request. Only
    /// accepted ones are kept, so the set is bounded by the number of users.
    accepted: Mutex<BTreeSet<[u8; 32]>>,
    checks: Semaphore,
}

enum Password {
    Plain(Secret),
    Bcrypt(String),
}

impl Users {
    /// Reads users, one `user:password` a line, as `htpasswd -B` writes them; empty lines and those with `#` in front are
    /// passed over. A password that starts with `$2` is a bcrypt hash, any other one stands for itself.
    ///
    /// # Errors
    /// [`Error::Users`] for a line without a colon, [`Error::UserHash`] for the weaker hashes that `htpasswd` knows.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut passwords = BTreeMap::new();
        for (at, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim_end_matches('\r'))) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, password) = line.split_once(':').ok_or(Error::Users(at))?;
            if user.is_empty() || password.is_empty() {
                return Err(Error::Users(at));
            }
            if ["$apr1$", "$1$", "$5$", "$6$", "{SHA}", "{SSHA}"].iter().any(|other| password.starts_with(other)) {
                return Err(Error::UserHash(at));
            }
            let password = if password.starts_with("$2") {
                Password::Bcrypt(password.to_owned())
            } else {
                Password::Plain(Secret::new(password.to_owned()))
            };
            passwords.insert(user.to_owned(), password);
        }
        Ok(Self(Arc::new(Inner { passwords, accepted: Mutex::default(), checks: Semaphore::new(CHECKS) })))
    }

    /// Whether an `Authorization` header names a user and that user's password.
    pub(super) async fn admits(&self, header: Option<&str>) -> bool {
        let Some((user, given)) = header.and_then(credentials) else { return false };
        match self.0.passwords.get(&user) {
            Some(Password::Plain(password)) => same(&hash(&user, &given), &hash(&user, password)),
            Some(Password::Bcrypt(stored)) => self.admits_hashed(user, given, stored.clone()).await,
            None => {
                // Takes as long as for a user that there is, so that strangers do not learn who is one.
                let hashes = |password: &Password| match password {
                    Password::Bcrypt(stored) => Some(stored.clone()),
                    Password::Plain(_) => None,
                };
                if let Some(stored) = self.0.passwords.values().find_map(hashes) {
                    let _ = self.verify(given, stored).await;
                }
                false
            }
        }
    }

    async fn admits_hashed(&self, user: String, given: Secret, stored: String) -> bool {
        let key = hash(&user, &given);
        let accepted = || self.0.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        if accepted().iter().any(|known| same(known, &key)) {
            return true;
        }
        let admitted = self.verify(given, stored).await;
        if admitted {
            accepted().insert(key);
        }
        admitted
    }

    async fn verify(&self, given: Secret, stored: String) -> bool {
        let Ok(_permit) = self.0.checks.acquire().await else { return false };
        let check = move || bcrypt::verify(given.expose(), &stored).unwrap_or(false);
        tokio::task::spawn_blocking(check).await.unwrap_or(false)
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.0.passwords.len())
    }
}

fn credentials(header: &str) -> Option<(String, Secret)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), Secret::new(password.to_owned())))
}

fn hash(user: &str, password: &Secret) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update((user.len() as u64).to_le_bytes());
    hasher.update(user);
    hasher.update(password.expose());
    hasher.finalize().into()
}

/// Compares in a time that does not depend on where two values differ.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    std::hint::black_box(a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y))) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[tokio::test]
    async fn admits_only_users_with_their_password() {
        let hashed = bcrypt::hash("s3cret:x", 4).unwrap();
        let users = Users::parse(&format!("# people\n\nanna:open sesame\r\nbert:{hashed}\n")).unwrap();
        for (header, want) in [
            (basic("anna:open sesame"), true),
            (basic("anna:open sesam"), false),
            (basic("bert:s3cret:x"), true),
            (basic("bert:s3cret:x"), true),
            (basic(&format!("bert:{hashed}")), false),
            (basic("carl:"), false),
            (basic("anna"), false),
            (basic("anna:open sesame").to_lowercase(), false),
            ("Bearer x".to_owned(), false),
            ("Basic %%%".to_owned(), false),
        ] {
            assert_eq!(users.admits(Some(&header)).await, want, "{header}");
        }
        assert!(!users.admits(None).await);
        assert!(!format!("{users:?}").contains("sesame"));
    }

    #[test]
    fn refuses_weak_hashes_and_bad_lines() {
        assert!(matches!(Users::parse("anna"), Err(Error::Users(1))));
        assert!(matches!(Users::parse("a:b\nanna:"), Err(Error::Users(2))));
        assert!(matches!(Users::parse("anna:$apr1$x$y"), Err(Error::UserHash(1))));
        assert!(matches!(Users::parse("anna:{SHA}x"), Err(Error::UserHash(1))));
    }
}
