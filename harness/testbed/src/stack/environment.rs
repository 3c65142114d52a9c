//! What the figures of a run depend on: the machine, and how durable the servers are.

use super::{StackError, StackInfo};
use relays::config::BrokerKind;
use std::collections::BTreeMap;

/// Returns this machine's processor, cores, memory and kernel, each where it is known.
pub(super) fn of_this_machine() -> BTreeMap<String, String> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let uname = nix::sys::utsname::uname().ok();
    let kernel = uname.map(|u| u.release().to_string_lossy().into_owned());
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let found = [
        ("processor", model(&processor)),
        ("cores", (cores > 0).then(|| cores.to_string())),
        ("memory_mib", memory_mib(&memory).map(|m| m.to_string())),
        ("kernel", kernel),
    ];
    let known = found.into_iter().filter_map(|(k, v)| Some((k.into(), v?)));
    known.collect()
}

/// Asks the database for its version and durability, and notes the broker's.
pub(super) async fn of_the_servers(info: &mut StackInfo) -> Result<(), StackError> {
    info.ask_database().await?;
    // Ours to decide: topics are made with one replica, Kafka's producers ask for all acknowledgements.
    info.environment
        .insert("replication_factor".into(), "1".into());
    if info.brokers.contains_key(&BrokerKind::USUAL) {
        info.environment.insert("kafka_acks".into(), "all".into());
    }
    Ok(())
}

/// Returns the first processor's model, as the kernel names it; `None` where it does not, as on some architectures.
fn model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find_map(|l| l.strip_prefix("model name"))?;
    let (_, model) = line.split_once(':')?;
    Some(model.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn memory_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_what_the_kernel_says_of_its_processors_then_the_model_is_that_of_the_first() {
        let text = "processor\t: 0\nmodel name\t: Some  CPU @ 2.00GHz\nmodel name\t: Other\n";
        assert_eq!(model(text).as_deref(), Some("Some CPU @ 2.00GHz"));
        assert_eq!(model("processor\t: 0\nBogoMIPS\t: 48.00\n"), None);
    }

    #[test]
    fn memory_is_read_from_meminfo() {
        let text = "MemTotal:       24690152 kB\nMemFree: 1 kB\n";
        assert_eq!(memory_mib(text), Some(24_111));
        assert_eq!(memory_mib("MemTotal: lots"), None);
    }
}
