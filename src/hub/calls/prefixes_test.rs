//! Floor 2. The tree of prefixes beside a plain list, and that it holds no more than it must.

use super::prefixes::Prefixes;
use crate::base::rng::Rng;

#[test]
fn texts_that_come_and_go_are_found_as_in_a_list_and_leave_nothing_behind() {
    let mut rng = Rng::new(3);
    for round in 1..=30 {
        let mut all = Prefixes::new();
        let mut known: Vec<(Vec<u8>, u64)> = Vec::new();
        let text = |rng: &mut Rng| -> Vec<u8> {
            (0..rng.below(1 + round / 2)).map(|_| b"abc"[rng.below(3) as usize]).collect()
        };
        for id in 0..400 {
            let new = text(&mut rng);
            match known.iter().position(|(text, _)| *text == new) {
                Some(at) => {
                    assert_eq!(all.find(&new), Some(known.swap_remove(at).1));
                    all.remove(&new);
                }
                None => {
                    assert_eq!(all.find(&new), None);
                    // What is not there is not taken away, nor anything else.
                    all.remove(&new);
                    all.insert(&new, id);
                    known.push((new, id));
                }
            }
            assert_eq!(all.len(), known.len());
            assert!(all.nodes() <= 2 * known.len() + 1, "only where texts end or part");
            for _ in 0..5 {
                let name = text(&mut rng);
                let begins = known.iter().filter(|(text, _)| name.starts_with(text));
                let wanted = begins.max_by_key(|(text, _)| text.len()).map(|(_, id)| *id);
                assert_eq!(all.longest(&name), wanted, "{known:?} {name:?}");
            }
        }
        for (text, _) in known {
            all.remove(&text);
        }
        assert_eq!((all.len(), all.nodes()), (0, 1));
    }
}

#[test]
fn a_tree_of_which_most_is_taken_away_again_is_as_small_as_one_that_never_had_it() {
    let long = [b'a'; 500];
    let mut all = Prefixes::new();
    all.insert(&long, 1);
    assert_eq!(all.nodes(), 2);
    for upto in 0..500 {
        let parts = [&long[..upto], b"b"].concat();
        all.insert(&parts, 2);
        all.remove(&parts);
        all.insert(&long[..upto], 3);
        all.remove(&long[..upto]);
        assert_eq!((all.nodes(), all.longest(&long)), (2, Some(1)));
    }
}
