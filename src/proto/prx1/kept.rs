//! Floor 3. What is kept of a Connect while a worker looks at its password.
//!
//! Absent on purpose: the password, and the buffer that it stands in.

use bytes::Bytes;

use super::packet::{Connect, VERSION};

/// The password is not kept while a worker looks at its copy, only that there was one.
pub(super) fn without_password(connect: Connect) -> Connect {
    let apart = |field: Option<Bytes>| field.map(|bytes| Bytes::copy_from_slice(&bytes));
    Connect {
        password: connect.password.map(|_| Bytes::new()),
        username: apart(connect.username),
        client_id: apart(connect.client_id),
        version: Bytes::from_static(VERSION),
        ..connect
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_password_only_that_there_was_one_is_kept() {
        let packet = Bytes::from_static(b"s3cretannc1");
        let said = Connect {
            password: Some(packet.slice(..6)),
            username: Some(packet.slice(6..9)),
            client_id: Some(packet.slice(9..)),
            ..Connect::default()
        };
        let left = without_password(said.clone());
        assert_eq!(left, Connect { password: Some(Bytes::new()), ..said.clone() });
        // What is kept must not keep the packet either, in which the password stands.
        for (kept, said) in [(left.username, said.username), (left.client_id, said.client_id)] {
            assert_ne!(kept.map(|kept| kept.as_ptr()), said.map(|said| said.as_ptr()));
        }
        assert_eq!(without_password(Connect::default()).password, None);
    }
}
