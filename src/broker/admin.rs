//! Floor 6. Who may administer, as a builder has it.
//!
//! Without administrators the listeners that speak HTTP answer for health only, except on a socket
//! in the file system: whoever may open that is an operator. Absent on purpose: configuration.

use super::Builder;
use crate::hub::gate::Admins;

impl Builder {
    /// Who may look at the broker and change it over HTTP.
    #[must_use]
    pub fn admin(mut self, admins: Admins) -> Self {
        self.admins = admins;
        self
    }
}
