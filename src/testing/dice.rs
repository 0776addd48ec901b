//! Floor 5. Where chance comes from: a seed, or bytes that a fuzzer chose; and what it is asked.
//!
//! Every choice in a simulated world is one call here, so equal dice make equal worlds. Bytes that
//! have run out answer 0, the dullest choice. A swarm is a set of habits drawn once per world:
//! most worlds do only some of what can be done, which finds more than doing everything always.

use crate::base::limits::{Limits, ShareStrategy};
use crate::base::rng::Rng;
use crate::hub::message::Durability;

use super::rig::Setup;

/// Answers to "which?".
#[derive(Clone, Debug)]
pub struct Dice {
    rng: Rng,
    bytes: Option<(Vec<u8>, usize)>,
}

impl Dice {
    /// From a seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { rng: Rng::new(seed), bytes: None }
    }

    /// From bytes.
    #[must_use]
    pub fn reading(data: &[u8]) -> Self {
        Self { rng: Rng::new(1), bytes: Some((data.to_vec(), 0)) }
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        let Some((bytes, at)) = &mut self.bytes else { return self.rng.below(bound) };
        let mut n = 0;
        let mut span = bound.saturating_sub(1);
        while span > 0 {
            n = n << 8 | u64::from(bytes.get(*at).copied().unwrap_or(0));
            *at += 1;
            span >>= 8;
        }
        if bound == 0 { 0 } else { n % bound }
    }

    /// True about `n` times in `of`; never, once bytes have run out.
    pub fn chance(&mut self, n: u64, of: u64) -> bool {
        self.below(of) >= of.saturating_sub(n)
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// There is nothing more to read.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.bytes.as_ref().is_some_and(|(bytes, at)| *at >= bytes.len())
    }

    /// A generator for what needs many small choices: which sectors, which padding.
    pub fn rng(&mut self) -> Rng {
        Rng::new(self.below(u64::MAX))
    }
}

/// What the people of one world are like, in parts of a hundred unless said otherwise.
#[derive(Clone, Debug)]
pub struct Habits {
    /// Users.
    pub users: usize,
    /// Connections that are open at once, at most.
    pub peers: usize,
    /// Passwords are hashes, checked by workers, and sometimes wrong.
    pub hashed: bool,
    /// The rules forbid something.
    pub ruled: bool,
    /// A login that wipes what is owed.
    pub clean: u64,
    /// Weights of what a peer does next: subscribe, unsubscribe, publish, retain, clear, ping,
    /// leave, vanish, nonsense, queue, copy of an acknowledged publish.
    pub deeds: [u64; 11],
    /// Publishes at QoS 1.
    pub qos1: u64,
    /// Peers that read slowly.
    pub slow: u64,
    /// Peers that acknowledge late, out of order or never.
    pub lazy: u64,
    /// The power goes, in parts of a thousand turns.
    pub cuts: u64,
    /// The process is killed, in parts of a thousand turns.
    pub kills: u64,
    /// The disk is slow or held.
    pub sluggish: u64,
    /// The disk gets full.
    pub full: u64,
    /// The disk fails, in parts of a thousand turns.
    pub failing: u64,
    /// Longest payload but for a few.
    pub payload: u64,
    /// MQTT clients.
    pub devices: usize,
    /// Weights of what an MQTT client does next: subscribe, share a subscription, unsubscribe,
    /// publish, retain, clear, ping, say goodbye, vanish, hang up.
    pub mqtt: [u64; 10],
    /// Its publishes at QoS 2; the rest is as often QoS 1 as 0.
    pub qos2: u64,
    /// Its connections that leave a will.
    pub wills: u64,
    /// Its publishes that expire.
    pub fading: u64,
    /// The clocks jump, in parts of a thousand turns.
    pub jumps: u64,
}

impl Habits {
    /// Draw them.
    pub fn draw(dice: &mut Dice) -> Self {
        let mut often = |most: u64| if dice.chance(1, 3) { 0 } else { dice.between(1, most) };
        let deeds = [often(12), often(6), 20, often(8), often(4), often(8), often(4), often(3)];
        let more = [often(2), often(10), often(4)];
        let mut all = [0; 11];
        all[..8].copy_from_slice(&deeds);
        all[8..].copy_from_slice(&more);
        // Without subscriptions there is little to see.
        all[0] = all[0].max(4);
        let (clean, qos1, slow, lazy) = (often(30), 100 - often(70), often(40), often(60));
        let (cuts, kills, failing) = (often(12), often(12), often(4));
        let (sluggish, full) = (often(70), often(20));
        let mqtt = [10, often(6), often(4), 24, often(6), often(3), often(8), often(4), often(4)];
        let (hang_up, qos2, wills) = (often(4), 100 - often(90), often(60));
        let (fading, jumps) = (often(20), often(16));
        let mut acts = [hang_up; 10];
        acts[..9].copy_from_slice(&mqtt);
        Self {
            users: dice.between(2, 6) as usize,
            peers: dice.between(2, 10) as usize,
            hashed: dice.chance(1, 3),
            ruled: dice.chance(1, 4),
            clean,
            deeds: all,
            qos1,
            slow,
            lazy,
            cuts,
            kills,
            sluggish,
            full,
            failing,
            payload: dice.between(1, 600),
            devices: dice.below(6) as usize,
            mqtt: acts,
            qos2,
            wills,
            fading,
            jumps,
        }
    }
}

/// A broker with bounds so tight that every one of them is reached.
pub fn draw_setup(dice: &mut Dice, habits: &Habits) -> Setup {
    let level = match dice.below(8) {
        0 => Durability::Os,
        1 => Durability::Memory,
        _ => Durability::Disk,
    };
    let limits = Limits {
        segment_bytes: 16 << 10,
        inflight_max: dice.between(1, 24) as usize,
        outbox_len_max: dice.between(2, 80) as usize,
        outbox_bytes_max: dice.between(16, 64) as usize * 1_024,
        fetch_bytes_max: dice.between(1, 16) as usize * 512,
        replies_max: dice.between(2, 64) as usize,
        packets_turn: dice.between(1, 32) as usize,
        read_bytes_turn: dice.between(64, 8_192) as usize,
        write_bytes_turn: dice.between(128, 8_192) as usize,
        retained_inline_bytes: dice.between(0, 256) as usize,
        memory_bytes_max: dice.between(96, 1_024) as usize * 1_024,
        subscriptions_max: 32,
        verify_at_once: dice.between(1, 3) as usize,
        verify_queue_max: dice.between(2, 8) as usize,
        stuck_ms_max: 5_000,
        packet_ms_max: 5_000,
        session_s_max: 40_000_000,
        receive_max: dice.between(1, 40) as u16,
        alias_max: dice.below(4) as u16,
        share_strategy: match dice.below(3) {
            0 => ShareStrategy::RoundRobin,
            1 => ShareStrategy::Sticky,
            _ => ShareStrategy::LeastOwed,
        },
        // Half of the worlds have a disk whose syncs are soon late.
        sync_ms_max: if dice.chance(1, 2) { 2_000 } else { dice.between(1, 40) },
        ..Limits::default()
    };
    let seed = dice.below(u64::MAX);
    Setup { limits, level, users: users(habits), seed, ..Setup::default() }
}

/// Passwords of MQTT clients are numbered from here.
pub(super) const DEVICES: usize = 50;

/// The hash that stands for the password of a user; the world knows what it means.
#[must_use]
pub fn hash_of(user: usize) -> String {
    format!("$2b$12$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzAB{:02}O", user % 100)
}

fn users(habits: &Habits) -> Option<String> {
    if !habits.hashed && !habits.ruled {
        return None;
    }
    let rules = match habits.ruled {
        true => "\"can publish no/entry\", \"can subscribe no/entry\"",
        false => "",
    };
    let mut text =
        format!("mode = \"strict\"\n[groups.User]\ntype = \"exclusive\"\nrules = [{rules}]\n");
    let devices = (0..habits.devices).map(|no| (format!("m{no}"), DEVICES + no));
    for (name, seat) in (0..=habits.users).map(|no| (format!("u{no}"), no)).chain(devices) {
        let proof = match habits.hashed {
            true => format!("password_hash = \"{}\"", hash_of(seat)),
            false => format!("shared_secret = \"pass{seat}\""),
        };
        text += &format!("[[users]]\nname = \"{name}\"\n{proof}\n");
    }
    Some(text)
}
