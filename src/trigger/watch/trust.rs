//! The file systems on which the kernel is told of every change.

use std::path::Path;

/// The file systems that only this machine's kernel changes, so that inotify tells of every change: ext2 to ext4, XFS,
/// Btrfs, bcachefs, F2FS, ZFS, NILFS, JFS, ReiserFS, tmpfs, ramfs, FAT, exFAT, and overlayfs over them. The numbers are
/// those of linux/magic.h, and of OpenZFS. Elsewhere another machine, or a process behind the kernel's back, may change
/// files, and inotify tells nothing of it
/// (<https://man7.org/linux/man-pages/man7/inotify.7.html>, "Limitations and caveats").
const TRUSTED: [u32; 15] = [
    0x0000_ef53,
    0x5846_5342,
    0x9123_683e,
    0xca45_1a4e,
    0xf2f5_2010,
    0x2fc1_2fc1,
    0x0000_3434,
    0x3153_464a,
    0x5265_4973,
    0x0102_1994,
    0x8584_58f6,
    0x0000_4d44,
    0x2011_bab0,
    0x794c_7630,
    // squashfs, which nothing changes
    0x7371_7368,
];

/// Returns `true` if the kernel tells of every change below `dir`, which is on one file system. `false` if that cannot
/// be determined.
pub(super) fn is_trusted(dir: &Path) -> bool {
    let kind = rustix::fs::statfs(dir).map(|about| about.f_type as u32);
    kind.is_ok_and(|kind| TRUSTED.contains(&kind))
}
