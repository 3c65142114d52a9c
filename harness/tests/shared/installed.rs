//! Servers that only some scenarios use need not be installed.

use crate::not_done::not_done;
use crate::programs;
use harness::scenario::Server;
use harness::stack::is_installed;

/// Whether this server is not installed here, which names the test that asks as not done.
pub fn lacks(server: Server) -> bool {
    let lacks = !is_installed(server, &programs());
    if lacks {
        let (title, name) = (server.title(), server.name());
        not_done(&format!(
            "{title} is not installed (`stack/install.sh {name}`)"
        ));
    }
    lacks
}
