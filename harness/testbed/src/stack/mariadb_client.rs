//! What a MariaDB says by itself to whoever connects, as far as a stack asks anything: its greeting.

use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The greeting comes within this time, connecting included.
const GREETING_WITHIN: Duration = Duration::from_secs(2);
/// Its first byte, the version of the protocol.
const PROTOCOL: u8 = 10;
/// Servers since 10.0 put this before their version, for old replicas.
const FOR_OLD_REPLICAS: &str = "5.5.5-";

/// Returns the version of the MariaDB at `HOST:PORT`, e.g. `10.11.19`; an Err says that none greets there.
pub(super) async fn version(address: &str) -> Result<String, String> {
    let greeted = timeout(GREETING_WITHIN, greeting(address)).await;
    let greeted =
        greeted.unwrap_or_else(|_| Err(format!("no greeting within {GREETING_WITHIN:?}")));
    greeted
        .and_then(|greeting| read(&greeting))
        .map_err(|reason| format!("{address}: {reason}"))
}

async fn greeting(address: &str) -> Result<Vec<u8>, String> {
    let connected = TcpStream::connect(address).await;
    let mut stream = connected.map_err(|e| e.to_string())?;
    let mut head = [0; 4];
    stream
        .read_exact(&mut head)
        .await
        .map_err(|e| e.to_string())?;
    // Three bytes of length, which is never near their most, and one of the packet's number.
    let length = usize::from(u16::from_le_bytes([head[0], head[1]]));
    let mut packet = vec![0; length];
    stream
        .read_exact(&mut packet)
        .await
        .map_err(|e| e.to_string())?;
    Ok(packet)
}

fn read(greeting: &[u8]) -> Result<String, String> {
    let Some((&PROTOCOL, rest)) = greeting.split_first() else {
        return Err("what it says is no greeting of MariaDB".into());
    };
    let version = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    let version = String::from_utf8_lossy(version);
    let (number, _) = version
        .split_once("-MariaDB")
        .ok_or_else(|| format!("it is no MariaDB: {version}"))?;
    let number = number.strip_prefix(FOR_OLD_REPLICAS).unwrap_or(number);
    Ok(number.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_greeting_when_it_is_read_then_it_gives_the_version_of_a_mariadb_and_of_nothing_else()
    {
        let greeting = b"\x0a5.5.5-10.11.19-MariaDB-0+deb12u1-log\0\x04\0\0\0";
        assert_eq!(read(greeting), Ok("10.11.19".to_owned()));
        assert_eq!(read(b"\x0a11.8.2-MariaDB\0"), Ok("11.8.2".to_owned()));
        for other in [&b"\x0a8.0.36\0"[..], b"\xffHost is blocked", b""] {
            assert!(read(other).is_err());
        }
    }
}
