//! Free TCP ports that stay ours. "Bind to port 0 and close it" hands the same port to two tests, or
//! to an outgoing connection while a killed server is down. So ports come from below the range that
//! the kernel gives to clients, and each is held by a file lock for the life of this process.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;

/// Ports that Linux does not give to outgoing connections (those start at 32768).
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// The locks of the ports taken by this process; released by the kernel when it ends.
static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port on 127.0.0.1 that nothing listens on and that no other test is given while this process lives.
pub fn free_port() -> u16 {
    let uid = std::fs::metadata("/proc/self").expect("procfs").uid();
    let folder = std::env::temp_dir().join(format!("mozhao-test-ports-{uid}"));
    std::fs::create_dir_all(&folder).expect("create the folder of port locks");
    let mut held = HELD.lock().expect("no test panics while holding this");
    let size = u32::from(RANGE.end - RANGE.start);
    let first = std::process::id().wrapping_mul(61) % size;
    for step in 0..size {
        let offset = u16::try_from((first + step) % size).expect("below the size of the range");
        let port = RANGE.start + offset;
        let lock = File::create(folder.join(port.to_string())).expect("create a port lock");
        if lock.try_lock().is_err() {
            continue;
        }
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            held.push(lock);
            return port;
        }
    }
    panic!("no free port in {RANGE:?}");
}
