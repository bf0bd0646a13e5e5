//! A disk that is full when a test says so: a small file system in memory, mounted for one test.
//!
//! Mounting takes the right to mount (root outside of most containers). Where it is missing, the caller has to use a
//! stand-in and say so. The mount is below the run's folder, where `private-servers` finds it if the test is killed.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::child::Folder;
use super::record;

/// A mounted file system of a fixed size.
#[derive(Debug)]
pub struct SmallDisk {
    mount: PathBuf,
    _folder: Folder,
}

impl SmallDisk {
    /// `None` where this process may not mount.
    pub fn mount(mebibytes: u32) -> Option<SmallDisk> {
        let folder = Folder::new("disk");
        let mount = folder.path().join("mount");
        fs::create_dir(&mount).expect("a folder to mount on");
        let options = format!("size={mebibytes}m,mode=0711");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&mount).output();
        done.is_ok_and(|output| output.status.success()).then_some(SmallDisk { mount, _folder: folder })
    }

    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        record::fault();
        let mut file = File::create(self.mount.join("ballast")).expect("create a file");
        let mut size = 1 << 20;
        while size > 0 {
            match file.write(&vec![0_u8; size]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => size /= 2,
                Err(error) => panic!("cannot fill the disk: {error}"),
            }
        }
    }

    /// Gives the room back.
    pub fn free(&self) {
        fs::remove_file(self.mount.join("ballast")).expect("remove the ballast");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.mount);
    }
}

/// Lazily: whoever still has files open there keeps them until it ends.
pub fn unmount(mount: &Path) {
    let done = Command::new("umount").arg("-l").arg(mount).output();
    if !done.is_ok_and(|output| output.status.success()) {
        eprintln!("cannot unmount {}", mount.display());
    }
}
