//! Recognition of addresses of this machine or this link.

use std::net::{IpAddr, Ipv6Addr};

/// The prefix of the addresses at which EC2 and EKS serve instance metadata and Pod Identity over IPv6
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>).
const EC2: [u16; 2] = [0xfd00, 0x0ec2];

/// Returns `true` if a host is this machine, or an address that no router forwards: an agent, a sidecar, a
/// metadata endpoint. Requests to it do not go through a proxy.
pub(super) fn is_local(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        Ok(IpAddr::V6(ip)) => {
            ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified() || is_of_ec2(ip)
        }
        Err(_) => {
            let name = host.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

fn is_of_ec2(ip: Ipv6Addr) -> bool {
    ip.segments()[..2] == EC2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_addresses_of_this_machine_and_link_from_others() {
        for host in [
            "127.0.0.1",
            "127.8.9.10",
            "localhost",
            "LOCALHOST.",
            "agent.localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[fd00:ec2::23]",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "10.0.0.1",
            "169.253.1.1",
            "192.0.2.1",
            "[2001:db8::1]",
            "[fd00:ec3::1]",
            "localhost.example.com",
            "vault.internal",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
