//! Floor 3. The form of a bcrypt hash, and what checking it costs.
//!
//! A hash is understood here before it is ever given to a worker, so none can fail there or take
//! seconds. Absent on purpose: bcrypt itself.

/// The cost of a bcrypt hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cost(pub(super) u32);

impl Cost {
    /// `$2a$`, `$2b$` or `$2y$`, two digits, `$`, 22 letters of salt, 31 of digest. The last
    /// letter of each has bits to spare, which must be zero: whoever decodes it checks that too.
    pub(super) fn of(hash: &str) -> Result<Self, &'static str> {
        let form = "is not of the form $2b$NN$ and 53 letters";
        let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|p| hash.strip_prefix(p));
        let (cost, rest) = rest.and_then(|rest| rest.split_once('$')).ok_or(form)?;
        let digits = cost.len() == 2 && cost.bytes().all(|b| b.is_ascii_digit());
        let index = |b: u8| ALPHABET.iter().position(|a| *a == b);
        let spare = |at: usize, unit: usize| {
            rest.as_bytes().get(at).and_then(|b| index(*b)).is_some_and(|i| i % unit == 0)
        };
        let letters = rest.len() == 53 && rest.bytes().all(|b| index(b).is_some());
        if !digits || !letters || !spare(21, 16) || !spare(52, 4) {
            return Err(form);
        }
        match cost.parse() {
            Ok(cost @ 4..=14) => Ok(Self(cost)),
            Ok(15..) => Err("has a cost over 14: one login would take seconds"),
            _ => Err("has a cost under 4, which bcrypt does not know"),
        }
    }
}

/// A well-formed hash whose digest is all zero bits: what hashes to it nobody knows.
pub(super) fn decoy(cost: u32) -> String {
    format!("$2b${cost:02}$abcdefghijklmnopqrstuu{}", ".".repeat(31))
}

/// The letters of bcrypt, in order of value.
const ALPHABET: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
