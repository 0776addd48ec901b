//! Floor 5. Whether a folder's file system makes whoever writes wait for its device.
//!
//! A store into a mapped file changes when the file was last changed. ext4 and XFS write that down
//! in their journals, a moment later, unless they are mounted with `lazytime`; and while a journal
//! waits for a device that does not answer, so does the next store. That is the loop's, so whoever
//! runs a broker should be told. Absent on purpose: changing how anything is mounted.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The kind of file system on which stores wait for the device, if the folder is on such a one.
/// None too where the system does not say.
#[must_use]
pub fn waits_for_its_device(dir: &Path) -> Option<String> {
    let device = fs::metadata(dir).ok()?.dev();
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let number = format!("{}:{}", libc::major(device), libc::minor(device));
    found(&mounts, &number).map(str::to_owned)
}

/// What the table of mounts says of a device. Each line has an open number of fields up to a dash,
/// then the kind, the source, and the options of the file system itself.
fn found<'a>(mounts: &'a str, number: &str) -> Option<&'a str> {
    mounts.lines().find_map(|line| {
        let (place, system) = line.split_once(" - ")?;
        let mut system = system.split(' ');
        let (kind, options) = (system.next()?, system.nth(1)?);
        let is_it = place.split(' ').nth(2) == Some(number);
        let waits = matches!(kind, "ext4" | "ext3" | "xfs");
        let lazy = options.split(',').any(|option| option == "lazytime");
        (is_it && waits && !lazy).then_some(kind)
    })
}

#[cfg(test)]
mod tests {
    use super::found;

    const MOUNTS: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/root rw
28 27 254:1 /a /data\\040here rw - ext4 /dev/vdb rw,lazytime,errors=remount-ro
29 27 254:2 / /x rw,noatime - xfs /dev/vdc rw,attr2
30 27 254:3 / /b rw - btrfs /dev/vdd rw
31 27 254:4 / /half - ext4";

    #[test]
    fn a_journal_of_times_is_known_by_its_kind_and_its_options() {
        let all = ["254:0", "254:2"].map(|number| found(MOUNTS, number));
        assert_eq!(all, [Some("ext4"), Some("xfs")]);
        for number in ["254:1", "254:3", "254:4", "0:21", "9:9", ""] {
            assert_eq!(found(MOUNTS, number), None, "{number}");
        }
    }
}
