//! What a machine reaches on a network of its own, and what tells it its metadata.

use machine::firecracker::Options;
use machine::network::NetworkPolicy;
use machine::{Driver, Machine, MachineSpec, Network, Snapshot};
use serde_json::json;

use crate::bench;
use crate::firecracker_suite::{Bench, left_behind, say, snapshot, spec};
use crate::network_world::{self as world, ALLOWED, OTHERS, in_a_world};

fn networked(id: &str, allow: &[&str]) -> MachineSpec {
    let policy = NetworkPolicy::parse(allow.iter().copied()).unwrap();
    MachineSpec { network: Network::User, policy, ..spec(id) }
}

/// Freezes a machine, and goes on with it in another.
async fn through_a_snapshot(bench: &Bench, machine: Machine, spec: MachineSpec) -> Machine {
    let snapshot = snapshot(bench, machine, "wired").await;
    let clone = bench.driver.restore(&snapshot, spec).await.expect("a clone");
    Snapshot::remove(&bench.data, &snapshot.id).unwrap();
    clone
}

#[test]
#[ignore = "needs a real Firecracker: cargo xtask test-firecracker"]
fn a_machine_reaches_what_its_list_says_and_nothing_else_and_its_clone_too() {
    in_a_world(async || {
        let port = world::greet_all();
        let mut bench = bench(Options::default());
        bench.driver = bench.driver.with_name_servers(vec![world::name_server()]);
        let machine = bench.driver.start(networked("wired-1", &["good.example", ALLOWED])).await;
        let machine = machine.expect("a machine");
        let hello = |host: &str| format!("timeout 20 bash -c 'exec 3<>/dev/tcp/{host}/{port} && cat <&3'");
        let look = async |machine: &Machine| {
            for host in ["good.example", ALLOWED] {
                assert_eq!(say(&machine.guest, &hello(host)).await.unwrap(), "reached", "{host}");
            }
            for host in
                OTHERS.into_iter().chain(["evil.example", "198.19.0.1", "2001:db8::1", "fe80::1%eth0"])
            {
                let refused = say(&machine.guest, &hello(host)).await.unwrap_err();
                // 124: it was waited for in vain.
                assert!(refused.starts_with("Code(1)"), "{host}: {refused}");
            }
            let noted: Vec<String> =
                machine.contacts.all().iter().map(|(contact, _)| contact.to_string()).collect();
            assert!(noted.contains(&format!("tcp {ALLOWED}:{port} (good.example)")), "{noted:#?}");
            let refused = format!("tcp 169.254.169.254:{port}: refused");
            assert!(noted.iter().any(|contact| contact.starts_with(&refused)), "{noted:#?}");
        };
        look(&machine).await;
        let clone = through_a_snapshot(&bench, machine, networked("wired-2", &["*"])).await;
        look(&clone).await;
        clone.destroy().await.expect("an end");
        assert_eq!(left_behind(&bench.data), Vec::<String>::new());
    });
}

/// Asks the metadata service; prints the status and the body.
const ASK: &str = r#"ask() {
  exec 3<>/dev/tcp/169.254.169.254/80
  printf "$1 HTTP/1.1\r\n$2\r\n\r\n" >&3
  read -r _ status _ <&3
  while read -r line <&3; line=${line%$'\r'}; [ -n "$line" ]; do
    case $line in [Cc]ontent-[Ll]ength:*) length=${line#*: };; esac
  done
  echo "$status $(head -c $length <&3)"
}"#;

#[test]
#[ignore = "needs a real Firecracker: cargo xtask test-firecracker"]
fn metadata_is_told_to_who_has_a_token_and_to_clones_what_holds_then() {
    in_a_world(async || {
        let told =
            |stage: &str| bench(Options { metadata: Some(json!({ "stage": stage })), ..Options::default() });
        let ask = format!(
            "cat > /tmp/ask <<'END'\n{ASK}\nask 'GET /stage' 'X-none: 1' | cut -c 1-3\n\
             token=$(ask 'PUT /latest/api/token' 'X-metadata-token-ttl-seconds: 60')\n\
             ask 'GET /stage' \"X-metadata-token: ${{token#* }}\"\nEND\ntimeout 60 bash /tmp/ask"
        );
        let bench = told("first");
        let machine = bench.driver.start(networked("told-1", &[ALLOWED])).await.expect("a machine");
        assert_eq!(say(&machine.guest, &ask).await.unwrap(), "401\n200 first");
        let later = told("second");
        let clone = through_a_snapshot(&later, machine, networked("told-2", &[ALLOWED])).await;
        assert_eq!(say(&clone.guest, &ask).await.unwrap(), "401\n200 second");
        clone.destroy().await.expect("an end");
    });
}
