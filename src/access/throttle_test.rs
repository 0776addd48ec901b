//! Floor 3. Who has to wait after failures, and who must not be made to.

use super::mac::Mac;
use super::throttle::{Bucket, Terms, Throttle};
use crate::base::time::{MS, Now};
use crate::hub::policy::Address;

const TERMS: Terms = Terms {
    pair: Bucket { burst: 3, refill_ms: 1_000 },
    network: Bucket { burst: 6, refill_ms: 1_000 },
    user: Bucket { burst: 6, refill_ms: 1_000 },
    loopback: Bucket { burst: 50, refill_ms: 10 },
    wait_ms_max: 5_000,
    friend_ms: 60_000,
    rounds: 1,
    salts: None,
};

struct World {
    throttle: Throttle,
    now: Now,
}

impl World {
    fn new() -> Self {
        let throttle = Throttle::new(Mac::new([5, 6]), TERMS);
        Self { throttle, now: Now { mono: 77 * MS, wall: 0 } }
    }

    fn fail(&mut self, from: Address, user: &str, times: usize) {
        for _ in 0..times {
            self.throttle.on_failed(self.now, from, false, user.as_bytes());
        }
    }

    fn succeed(&mut self, from: Address, user: &str) {
        self.throttle.on_succeeded(self.now, from, user.as_bytes());
    }

    fn wait(&self, from: Address, user: &str) -> u64 {
        self.throttle.wait_ms(self.now, from, false, user.as_bytes())
    }

    fn sleep(&mut self, ms: u64) {
        self.now.mono += ms * MS;
    }
}

fn host(n: u8) -> Address {
    Address::V4([192, 0, 2, n])
}

#[test]
fn a_network_may_fail_so_often_and_then_once_in_a_while() {
    let mut w = World::new();
    w.fail(host(1), "u", 2);
    assert_eq!(w.wait(host(1), "u"), 0, "one more is allowed");
    w.fail(host(1), "u", 1);
    assert_eq!(w.wait(host(1), "u"), 1_000);
    w.sleep(999);
    assert_eq!(w.wait(host(1), "u"), 1);
    w.sleep(1);
    assert_eq!(w.wait(host(1), "u"), 0);
    w.fail(host(1), "u", 1);
    assert_eq!(w.wait(host(1), "u"), 1_000, "one, not three");
    w.sleep(10_000);
    w.fail(host(1), "u", 2);
    assert_eq!(w.wait(host(1), "u"), 0, "after a long rest it may fail as at first");
}

#[test]
fn a_network_that_tries_many_names_waits_for_all_of_them() {
    let mut w = World::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        assert_eq!(w.wait(host(1), "new"), 0);
        w.fail(host(1), name, 1);
    }
    assert_eq!(w.wait(host(1), "new"), 1_000);
    assert_eq!(w.wait(host(2), "new"), 0, "others do not");
}

#[test]
fn a_name_tried_from_everywhere_makes_those_wait_who_failed_under_it() {
    let mut w = World::new();
    for n in 0..6 {
        w.fail(host(n), "u", 1);
    }
    assert_eq!(w.wait(host(0), "u"), 1_000);
    assert_eq!(w.wait(host(0), "other"), 0, "under another name it is free");
    assert_eq!(w.wait(host(9), "u"), 0, "nobody is locked out by strangers");
}

#[test]
fn who_knew_the_password_is_held_to_its_own_failures_only() {
    let mut w = World::new();
    w.succeed(host(1), "u");
    w.fail(host(1), "x", 100);
    w.fail(host(2), "u", 100);
    w.fail(host(1), "u", 1);
    assert_eq!(w.wait(host(1), "u"), 0);
    assert!(w.wait(host(1), "v") > 0, "under other names it is a stranger");
    w.fail(host(1), "u", 2);
    assert_eq!(w.wait(host(1), "u"), 1_000);
}

#[test]
fn trust_ends_after_its_time_and_when_it_is_withdrawn() {
    let mut w = World::new();
    w.succeed(host(1), "u");
    w.sleep(60_000);
    w.fail(host(1), "x", 100);
    assert!(w.wait(host(1), "u") > 0, "a day later");
    w.succeed(host(1), "u");
    assert_eq!(w.wait(host(1), "u"), 0);
    w.throttle.forget_friends();
    assert!(w.wait(host(1), "u") > 0, "after a reload");
}

#[test]
fn success_is_free() {
    let mut w = World::new();
    for _ in 0..10_000 {
        assert_eq!(w.wait(host(1), "u"), 0);
        w.succeed(host(1), "u");
    }
}

#[test]
fn no_wait_is_longer_than_the_longest() {
    let mut w = World::new();
    w.fail(host(1), "u", 100_000);
    assert_eq!(w.wait(host(1), "u"), TERMS.wait_ms_max);
    assert_eq!(w.wait(host(1), "v"), TERMS.wait_ms_max);
}

#[test]
fn an_ipv6_host_cannot_escape_by_changing_its_address() {
    let v6 = |net: u8, host: u8| {
        let mut a = [0; 16];
        (a[0], a[7], a[15]) = (0x20, net, host);
        Address::V6(a)
    };
    let mut w = World::new();
    for host in 0..3 {
        w.fail(v6(1, host), "u", 1);
    }
    assert_eq!(w.wait(v6(1, 200), "u"), 1_000);
    assert_eq!(w.wait(v6(2, 0), "u"), 0, "the next network is another");
}

#[test]
fn an_ipv4_host_in_ipv6_dress_is_the_same_host() {
    let mut w = World::new();
    w.fail(host(1), "u", 3);
    let mut a = [0; 16];
    a[10..].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 1]);
    assert_eq!(w.wait(Address::V6(a), "u"), 1_000);
    a[15] = 2;
    assert_eq!(w.wait(Address::V6(a), "u"), 0);
}

#[test]
fn this_machine_is_held_to_its_own_terms_name_by_name() {
    let mut w = World::new();
    let local = Address::Local;
    let wait = |w: &World, user: &[u8]| w.throttle.wait_ms(w.now, local, true, user);
    for _ in 0..49 {
        w.throttle.on_failed(w.now, local, true, b"u");
    }
    assert_eq!(wait(&w, b"u"), 0);
    w.throttle.on_failed(w.now, local, true, b"u");
    assert_eq!(wait(&w, b"u"), 10);
    assert_eq!(wait(&w, b"v"), 0, "a proxy's other users go on");
    assert_eq!(w.wait(host(1), "u"), 0, "and the rest of the world as well");
}

#[test]
fn a_flood_from_everywhere_does_not_make_the_table_forget_the_worst() {
    let mut w = World::new();
    w.fail(host(1), "u", 50);
    for n in 0..200_000u32 {
        let [a, b, c, d] = n.to_be_bytes();
        w.throttle.on_failed(w.now, Address::V4([a, b, c, d]), false, &n.to_le_bytes());
    }
    assert_eq!(w.wait(host(1), "u"), TERMS.wait_ms_max);
}
