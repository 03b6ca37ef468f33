//! Replicas in network namespaces of their own, on a bridge, and packets that get lost between them
//! and the servers.
//!
//! `tests/network/run` starts the test in namespaces that nobody else is in, and that end with it: what is
//! made here leaves nothing behind, however the test ends.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};

/// Where the servers are.
pub const HUB: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));

/// The bridge with the servers on it.
pub fn hub() {
    run("mount -t tmpfs netns /run/netns");
    run("ip link set lo up");
    run("ip link add hub type bridge");
    run(&format!("ip addr add {HUB}/24 dev hub"));
    run("ip link set hub up");
}

/// A namespace at the bridge.
pub struct Namespace {
    name: String,
    address: String,
}

impl Namespace {
    /// The one of this number, 1 to 200.
    pub fn new(number: u8) -> Self {
        let (name, address) = (format!("r{number}"), format!("10.77.0.{}", number + 10));
        run(&format!("ip netns add {name}"));
        run(&format!(
            "ip link add {name} type veth peer name eth0 netns {name}"
        ));
        run(&format!("ip link set {name} master hub up"));
        run(&format!("ip -n {name} link set lo up"));
        run(&format!("ip -n {name} addr add {address}/24 dev eth0"));
        run(&format!("ip -n {name} link set eth0 up"));
        Self { name, address }
    }

    /// What to put before a command for it to run there.
    pub fn enter(&self) -> Vec<String> {
        let into = format!("--net=/run/netns/{}", self.name);
        vec!["nsenter".to_owned(), into]
    }

    /// From now on every packet to and from these ports of the hub is lost, too.
    pub fn lose(&self, ports: &[u16]) {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let ports = ports.join(", ");
        let lose = |table: &str, packets: &str| {
            format!(
                "add table inet {table}
                 add chain inet {table} lose {{ type filter hook input priority 0; }}
                 add rule inet {table} lose ip saddr {packets} {{ {ports} }} drop\n"
            )
        };
        // Both ends lose what comes in, as a broken wire does: nobody is told.
        let asked = format!("{} tcp dport", self.address);
        rules(&[], &lose(&self.name, &asked));
        rules(
            &self.enter(),
            &lose(&self.name, &format!("{HUB} tcp sport")),
        );
    }

    /// Every packet arrives again.
    pub fn heal(&self) {
        rules(&[], &format!("delete table inet {}", self.name));
        rules(&self.enter(), &format!("delete table inet {}", self.name));
    }
}

fn run(command: &str) {
    let mut words = command.split(' ');
    let mut run = Command::new(words.next().expect("a program"));
    let status = run.args(words).status();
    assert!(status.expect("it starts").success(), "{command}");
}

fn rules(enter: &[String], rules: &str) {
    let words = [enter, &["nft".to_owned(), "-f".to_owned(), "-".to_owned()]].concat();
    let mut nft = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .spawn()
        .expect("nft starts");
    let mut input = nft.stdin.take().expect("its input");
    input.write_all(rules.as_bytes()).expect("written");
    drop(input);
    assert!(nft.wait().expect("it ends").success(), "{rules}");
}
