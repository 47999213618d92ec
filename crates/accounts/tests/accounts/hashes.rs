//! Stored passwords as other programs make them.

use waft_accounts::{HashError, VerifierOptions, hash_password, validate_hash};

use super::support::{PASSWORD, Setup, accepted, denied};

/// `pässword` by the Argon2 reference library, glibc, OpenSSL and Python's hashlib.
const HASHES: [&str; 13] = [
    "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$OdFYA7BxGSdTRBBwiJ5KZBUWydkzbjB1JVmWwfypW80",
    "$argon2i$v=19$m=16,t=2,p=2$c2FsdHNhbHRzYWx0c2FsdA$beodsa9FCU3Js6BsSOYpMJnwY2NkNTyW+nt3dJj4tZU",
    "$argon2id$v=16$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$Uf2i24kWEXG5yR7KUfjB0azHuYmwShL98OzlUEeoTME",
    "$argon2id$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$Uf2i24kWEXG5yR7KUfjB0azHuYmwShL98OzlUEeoTME",
    "$scrypt$ln=4,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$wng50HChw8WkVx5i2KrJ0dgqqjm7fUEXU2T145EwjrY",
    "$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHRzYWx0c2FsdA$YgPLu3n8vPEiiKZxKq7umwDgcOMwRYIX1FKxRWvKd3o",
    "$pbkdf2-sha512$i=1000,l=64$c2FsdHNhbHRzYWx0c2FsdA$oWHJTIlTanZAca4WPLR+C2OLaaYFihFtoGWMYX5tMMunfn3iVeE8ehUbaqnqgvP9eioV61AgUqYWH3g08DL6Rw",
    "$2b$04$abcdefghijklmnopqrstuum174eFeoTj0DHmtuueFaS3Wde4P7wHG",
    "$2y$04$abcdefghijklmnopqrstuum174eFeoTj0DHmtuueFaS3Wde4P7wHG",
    "$6$rounds=1000$saltsalt$GRg0cJEHso4LJZYmvs6cl1YziCrkl3pvdLeF58R.fERGV/fOgD8w6F4Ljko0wttVnHPN.v.Sy4JUmYierjxw6/",
    "$6$saltsalt$rVIyJtXnL0mXUCLepstXWqeOv9JVyd7nOH8wn0BvOU5lCiAviUJLxXZ5CkPgq6XNTHV22yG4mV0IO9gqPL5WQ.",
    "$5$rounds=1000$saltsalt$k0ylRWLHVlBxnL.QHEV.f8gDch7ScqF5//h.mx1WAa9",
    "$5$saltsalt$rQBvFGQx3u6doxkk7cvWbhhnhS2qa1.FI.tt6NGFH66",
];

#[tokio::test]
async fn every_known_method_tells_right_from_wrong() {
    let setup = Setup::new(VerifierOptions::default());
    for hash in HASHES {
        assert_eq!(validate_hash(hash), Ok(()), "{hash}");
        let accounts = setup.accounts(&[setup.spec("alice", hash)]);
        accepted(&accounts, "alice", PASSWORD).await;
        assert_eq!(denied(&accounts, "alice", "password").await, "wrong password");
        assert_eq!(denied(&accounts, "alice", "").await, "wrong password");
    }
}

#[tokio::test]
async fn a_hash_of_our_own_is_argon2id_as_owasp_advises_and_salted() {
    let hash = hash_password(PASSWORD.as_bytes()).unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    assert_ne!(hash, hash_password(PASSWORD.as_bytes()).unwrap());
    let setup = Setup::new(VerifierOptions::default());
    let accounts = setup.accounts(&[setup.spec("alice", &hash)]);
    accepted(&accounts, "alice", PASSWORD).await;
    assert_eq!(denied(&accounts, "alice", "other").await, "wrong password");
}

#[test]
fn a_cut_or_lengthened_hash_is_refused() {
    for hash in HASHES {
        let salt_ends = hash.rfind('$').unwrap();
        for end in 0..hash.len() {
            // The hash of a PHC string may be of any length: only the salt and what is before it
            // must be whole.
            let phc = hash.contains(',') || hash.contains("i=");
            let refused = validate_hash(&hash[..end]).is_err();
            assert!(refused || phc && end > salt_ends, "{}", &hash[..end]);
        }
        assert!(validate_hash(&format!("{hash}$")).is_err());
        assert!(validate_hash(&format!("{hash}$x")).is_err());
    }
}

#[test]
fn a_string_that_cannot_be_verified_is_refused_with_the_reason() {
    let reason = |text: &str| validate_hash(text).unwrap_err();
    assert_eq!(reason(""), HashError::NotAHash);
    assert_eq!(reason("hunter2"), HashError::NotAHash);
    assert_eq!(reason("$1$salt$hash"), HashError::Unsupported("1".to_owned()));
    assert_eq!(reason("$y$j9T$salt$hash"), HashError::Unsupported("y".to_owned()));
    assert_eq!(reason("$2x$04$x"), HashError::Unsupported("2x".to_owned()));
    assert_eq!(reason("$My Secret!$"), HashError::Unsupported("?".to_owned()));
    let large = "$argon2id$v=19$m=2097152,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$\
                 OdFYA7BxGSdTRBBwiJ5KZBUWydkzbjB1JVmWwfypW80";
    assert_eq!(reason(large), HashError::TooLarge(2_097_152));
    let large = "$scrypt$ln=21,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$\
                 wng50HChw8WkVx5i2KrJ0dgqqjm7fUEXU2T145EwjrY";
    assert_eq!(reason(large), HashError::TooLarge(2_097_152));
    for damaged in [
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA",
        "$argon2id$v=18$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$OdFYA7BxGSdTRBBwiJ5KZBUWydkzbjB1JVmWwfypW80",
        "$argon2id$v=19$m=8,t=0,p=1$c2FsdHNhbHRzYWx0c2FsdA$OdFYA7BxGSdTRBBwiJ5KZBUWydkzbjB1JVmWwfypW80",
        "$pbkdf2-sha512$i=1,l=64$c2FsdHNhbHRzYWx0c2FsdA$oWHJTIlTanZAca4WPLR+C2OLaaYFihFtoGWMYX5tMMunfn3iVeE8ehUbaqnqgvP9eioV61AgUqYWH3g08DL6Rw",
        "$2b$99$abcdefghijklmnopqrstuum174eFeoTj0DHmtuueFaS3Wde4P7wHG",
        "$6$rounds=10$saltsalt$GRg0cJEHso4LJZYmvs6cl1YziCrkl3pvdLeF58R.fERGV/fOgD8w6F4Ljko0wttVnHPN.v.Sy4JUmYierjxw6/",
        "$6$$GRg0cJEHso4LJZYmvs6cl1YziCrkl3pvdLeF58R.fERGV/fOgD8w6F4Ljko0wttVnHPN.v.Sy4JUmYierjxw6/",
        "$6$saltsalt$GRg0cJEHso4LJZYmvs6cl1YziCrkl3pvdLeF58R.fERGV/fOgD8w6F4Ljko0wttVnHPN.v.Sy4JUmYierjxw6z",
    ] {
        assert!(matches!(reason(damaged), HashError::Damaged { .. }), "{damaged}");
    }
}
