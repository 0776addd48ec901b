//! Floor 3. What must hold of any text whatever that is offered as a users file.
//!
//! It is refused or understood, never half of each; what is refused changes nothing, what is
//! understood once is understood again, and nobody gets in without a password unless the file
//! says in so many words that everybody may. Absent on purpose: what the text means.

use crate::base::time::Now;
use crate::hub::policy::{Address, Admit, Login, Policy};

use super::{Access, Mode, Terms};

/// Offer these bytes as a users file. Panics when one of the promises above is broken.
pub fn users(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    let key = [1, 2];
    let mut access = match Access::new(text, key, Terms::default()) {
        Ok(access) => access,
        Err(note) => {
            assert!(note.line >= 1 && note.column >= 1 && !note.text.contains('\n'), "{note}");
            let base = "mode = \"dynamic\"";
            let mut access = Access::new(base, key, Terms::default()).ok();
            let refused = access.as_mut().is_some_and(|a| a.reload(text).is_err());
            assert!(refused && access.is_some_and(|a| a.mode() == Mode::Dynamic), "{note}");
            return;
        }
    };
    let again = access.reload(text);
    let same = again.is_ok_and(|d| !d.rules && d.added.is_empty() && d.changed.is_empty());
    assert!(same, "the same text is the same file");
    let open = access.mode() == Mode::None && access.users() == 0;
    for user in ["", "a", "test"] {
        let login = Login {
            protocol: "prx1",
            user: user.as_bytes(),
            password: None,
            client_id: b"",
            certificate: None,
            address: Address::Local,
            loopback: true,
        };
        let admitted = matches!(access.admit(Now::default(), &login), Admit::Yes(_));
        assert_eq!(admitted, open, "{user:?} without a password");
    }
}
