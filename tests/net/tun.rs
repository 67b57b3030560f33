//! The test's end of an interface in a namespace: reads the IP packets that are sent there, writes those that arrive.
//!
//! The one module with unsafe code (Cargo.toml denies it): entering a namespace and naming a TUN device have no wrapper
//! in the crates at hand.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::namespace::Namespace;

/// The interface's name in every namespace.
pub(crate) const NAME: &str = "line0";
/// The longest packet: the interface's MTU.
pub(crate) const PACKET_BYTES_MAX: usize = 1500;

pub(crate) struct Tun(File);

impl Tun {
    /// A new interface in the namespace; it goes with this value.
    pub(crate) fn new(namespace: &Namespace) -> Self {
        let place = namespace.file();
        // A thread of its own: it stays in the namespace until it ends.
        let opened = std::thread::spawn(move || {
            enter(&place);
            let device = File::options().read(true).write(true).open("/dev/net/tun").unwrap();
            name(&device);
            device
        });
        Self(opened.join().unwrap())
    }

    /// The next packet, or nothing within `patience`.
    pub(crate) fn read(&self, patience: Duration) -> Option<Vec<u8>> {
        let mut ready = [PollFd::new(&self.0, PollFlags::IN)];
        let patience = Timespec::try_from(patience).unwrap();
        if poll(&mut ready, Some(&patience)).unwrap() == 0 {
            return None;
        }
        let mut packet = vec![0; PACKET_BYTES_MAX];
        // An interface that is being taken down gives an error.
        let length = (&self.0).read(&mut packet).ok()?;
        packet.truncate(length);
        Some(packet)
    }

    pub(crate) fn write(&self, packet: &[u8]) {
        // As a line does it: what nobody takes is lost.
        let _lost = (&self.0).write(packet);
    }
}

#[expect(
    unsafe_code,
    reason = "neither the standard library nor rustix without its thread feature enters a namespace"
)]
pub(crate) fn enter(namespace: &File) {
    // SAFETY: takes a descriptor that is open and concerns this thread only (setns(2)).
    let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(entered, 0, "setns: {}", std::io::Error::last_os_error());
}

#[expect(unsafe_code, reason = "rustix has no call for this request")]
fn name(device: &File) {
    // SAFETY: all bytes zero are a valid ifreq, a structure of numbers and a union of numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(NAME.bytes()) {
        *to = libc::c_char::try_from(from).unwrap();
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_TUN | libc::IFF_NO_PI).unwrap();
    // SAFETY: the request reads and writes one ifreq (netdevice(7), TUNSETIFF), which outlives the call.
    let named = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    assert_eq!(named, 0, "TUNSETIFF: {}", std::io::Error::last_os_error());
}
