//! Floor 5. Logins against results that other programs have computed.
//!
//! Absent on purpose: a router; the scripted ones log in over sockets.

use super::Error;
use super::proof::{Proof, Way};
use crate::proto::wamp::Amount;
use crate::proto::wamp::options::{AuthExtra, ChallengeExtra, WelcomeDetails};
use crate::proto::wamp::packet::{Authenticate, Challenge};

const RANDOM: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const NONCE: &str = "AAECAwQFBgcICQoLDA0ODw==";
const ASKED: &str = r#"{"nonce": "LHRTC9zeOIrt_9U3", "session": 3251278072152162}"#;

fn challenge(method: &str, extra: ChallengeExtra) -> Challenge {
    Challenge { method: method.into(), extra }
}

fn answer(way: Way, asked: &Challenge) -> Result<Authenticate, String> {
    Proof::new(&[way], "u", RANDOM).on_challenge(asked).map_err(|e| e.to_string())
}

fn cra(secret: &str, extra: ChallengeExtra) -> Result<String, String> {
    let extra = ChallengeExtra { challenge: Some(ASKED.into()), ..extra };
    let answer = answer(Way::Cra(secret.to_owned()), &challenge("wampcra", extra));
    answer.map(|answer| answer.signature.as_str().to_owned())
}

#[test]
fn a_ticket_is_said_as_it_is_and_only_to_who_asks_for_one() {
    let way = Way::Ticket("x".to_owned());
    let asked = challenge("ticket", ChallengeExtra::default());
    assert_eq!(answer(way.clone(), &asked).unwrap().signature.as_str(), "x");
    let asked = challenge("wampcra", ChallengeExtra::default());
    assert!(answer(way, &asked).unwrap_err().contains("not offered"));
}

#[test]
fn cra_signs_by_a_secret_or_by_the_text_of_a_derived_key() {
    let salted = |iterations: Option<u64>, keylen: Option<u64>| ChallengeExtra {
        salt: Some("salt123".into()),
        iterations: iterations.map(Amount),
        keylen: keylen.map(Amount),
        ..ChallengeExtra::default()
    };
    let plain = cra("secret", ChallengeExtra::default());
    assert_eq!(plain.as_deref(), Ok("1cnaFVX907dIxZ1P7ejzeAaGqx+CEheCgULfHmtWpuQ="));
    let derived = cra("peppa", salted(Some(100), Some(32)));
    assert_eq!(derived.as_deref(), Ok("3vc9oM1sFtJSxphU/2IgAdB0AvZkZIuDpHxK/26z5Cw="));
    // A thousand rounds where nothing is said; half a key.
    let derived = cra("peppa", salted(None, Some(16)));
    assert_eq!(derived.as_deref(), Ok("xWm/e1/lVyuVPvkxEeoltuRkSJudX0zGJiFGPUDchVg="));
    for (rounds, len) in [(0, 32), (1_000_001, 32), (u64::from(u32::MAX) + 2, 32), (1, 33), (1, 0)]
    {
        assert!(cra("peppa", salted(Some(rounds), Some(len))).is_err(), "{rounds} {len}");
    }
}

fn scrammed(nonce: &str) -> Challenge {
    challenge(
        "wamp-scram",
        ChallengeExtra {
            nonce: Some(nonce.into()),
            salt: Some("MDEyMzQ1Njc4OWFiY2RlZg==".into()),
            kdf: Some("pbkdf2".into()),
            iterations: Some(Amount(4_096)),
            ..ChallengeExtra::default()
        },
    )
}

#[test]
fn scram_proves_the_password_and_wants_it_proved_in_turn() {
    let ways = [Way::Scram("pencil".to_owned())];
    let mut proof = Proof::new(&ways, "user=a,b", RANDOM);
    assert_eq!(proof.extra().and_then(|it| it.nonce).unwrap().as_str(), NONCE);
    let both = format!("{NONCE}c2VydmVy");
    let answer = proof.on_challenge(&scrammed(&both)).unwrap();
    assert_eq!(answer.signature.as_str(), "5JAKWPVq0+/ZhGyqDGW5tMvX3T4G7AayT1GFg4L2e+c=");
    assert_eq!(answer.extra.nonce.unwrap().as_str(), both);
    let welcome = |verifier: &str| {
        let extra = AuthExtra { verifier: Some(verifier.into()), ..AuthExtra::default() };
        WelcomeDetails { authextra: Some(Box::new(extra)), ..WelcomeDetails::default() }
    };
    let good = "v=UjXrTHoIVptyUh3zRF1d4Dyosu6oG6TAZ+R7tjaOiCU=";
    assert!(proof.on_welcome(&welcome(good)).is_ok());
    assert!(matches!(proof.on_welcome(&welcome("v=")), Err(Error::Proof(_))));
    assert!(proof.on_welcome(&WelcomeDetails::default()).is_err(), "it has proved nothing");
}

#[test]
fn scram_continues_its_own_nonce_only() {
    for nonce in ["", "other", NONCE, &format!("{NONCE}a,b")] {
        let refused = answer(Way::Scram("pencil".to_owned()), &scrammed(nonce)).unwrap_err();
        assert!(refused.contains("nonce"), "{nonce}");
    }
    let mut argon = scrammed(&format!("{NONCE}x"));
    argon.extra.kdf = Some("argon2id13".into());
    assert!(answer(Way::Scram("pencil".to_owned()), &argon).unwrap_err().contains("PBKDF2"));
    let mut rounds = scrammed(&format!("{NONCE}x"));
    rounds.extra.iterations = Some(Amount(1_000_001));
    assert!(answer(Way::Scram("pencil".to_owned()), &rounds).unwrap_err().contains("rounds"));
}

#[cfg(feature = "tls")]
#[test]
fn cryptosign_signs_32_octets_and_nothing_else() {
    let seed = "4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510";
    let key = super::proof::sign::Key::of(seed).unwrap();
    let public = "1adfc8bfe1d35616e64dffbd900096f23b066f914c8c2ffbb66f6075b96e116d";
    assert_eq!(key.public(), public);
    let sign = |challenge: Option<&str>, binding: Option<&str>| {
        let extra = ChallengeExtra {
            challenge: challenge.map(Into::into),
            channel_binding: binding.map(Into::into),
            ..ChallengeExtra::default()
        };
        let way = Way::Sign(key.clone());
        let answer = answer(way, &self::challenge("cryptosign", extra));
        answer.map(|it| it.signature.as_str().to_owned())
    };
    let asked = "ff".repeat(32);
    let signature = "b32675b221f08593213737bef8240e7c15228b07028e19595294678c90d11c0cae80a35733\
                     1bfc5cc9fb71081464e6e75013517c2cf067ad566a6b7b728e5d03";
    assert_eq!(sign(Some(&asked), None), Ok(format!("{signature}{asked}")));
    for wrong in [None, Some(&asked[2..]), Some("x"), Some(&format!("{asked}ff"))] {
        assert!(sign(wrong, None).unwrap_err().contains("32 octets"), "{wrong:?}");
    }
    assert!(sign(Some(&asked), Some("tls-unique")).unwrap_err().contains("TLS"));
}

#[test]
fn methods_are_offered_in_their_order_and_nobody_is_anonymous() {
    let ways = [Way::Cra(String::new()), Way::Ticket(String::new())];
    let names = |ways: &[Way]| {
        let methods = Proof::new(ways, "", RANDOM).methods();
        methods.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&ways), "wampcra ticket");
    assert_eq!(names(&[]), "anonymous");
    assert!(Proof::new(&ways, "", RANDOM).extra().is_none());
}
