//! The network of a VM: a device in a namespace of its own, and who is at its other end.

use std::os::fd::OwnedFd;

use super::files::Place;
use super::plan::Tap;
use super::{Facts, FirecrackerDriver};
use crate::Network;
use crate::network::tap::DEVICE;
use crate::network::user::{self, UserNetwork};
use crate::vm::renewal::fresh_mac;
use crate::vm::{Doing, Failure};

const OPENING: &str = "opening its network";

/// What a VM with a network begins with.
pub(super) struct Wiring {
    /// Who carries and judges what the guest sends.
    network: UserNetwork,
    /// Where Firecracker is to be started.
    namespace: OwnedFd,
    /// The device in there.
    pub(super) tap: Tap,
}

impl FirecrackerDriver {
    /// A network, where the machine shall have one.
    pub(super) async fn wiring(&self, facts: &Facts, place: &Place) -> Result<Option<Wiring>, Failure> {
        if facts.network != Network::User {
            return Ok(None);
        }
        let servers = self.name_servers.clone().unwrap_or_else(user::name_servers);
        let (policy, owner) = (facts.policy.clone(), place.user());
        let opened = tokio::task::spawn_blocking(move || UserNetwork::open_tap(policy, servers, owner));
        let (network, namespace) = opened.await.doing(OPENING)?.doing(OPENING)?;
        let mac = fresh_mac().doing(OPENING)?.map(|byte| format!("{byte:02x}")).join(":");
        Ok(Some(Wiring { network, namespace, tap: Tap { name: DEVICE.to_owned(), mac } }))
    }
}

/// The parts of a wiring, which go different ways.
pub(super) fn parted(wiring: Option<Wiring>) -> (Option<UserNetwork>, Option<OwnedFd>) {
    wiring.map(|wiring| (wiring.network, wiring.namespace)).unzip()
}
