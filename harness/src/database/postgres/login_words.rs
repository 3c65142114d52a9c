//! A login, in the words of programs that are not ours.

use relays::config::PostgresTarget;
use std::borrow::Cow;

/// This is what is told of it: by placeholders of somebody's file, or in the environment.
pub(crate) struct LoginWords(PostgresTarget);

impl From<PostgresTarget> for LoginWords {
    fn from(target: PostgresTarget) -> Self {
        Self(target)
    }
}

impl LoginWords {
    /// Returns the environment of a client program of the server's installation: its session has these settings, and calls
    /// itself so.
    pub(crate) fn environment(&self, session: &str, application: &str) -> Vec<(String, String)> {
        let login = &self.0;
        [
            ("PGHOST", login.host.as_str()),
            ("PGPORT", &login.port.to_string()),
            ("PGUSER", &login.user),
            ("PGPASSWORD", &login.password),
            ("PGDATABASE", &login.database),
            ("PGOPTIONS", session),
            ("PGAPPNAME", application),
            ("LC_ALL", "C"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Returns the value of the placeholder of this name; `None` where it is of something else.
    pub(crate) fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let login = &self.0;
        Some(match name {
            "postgres_url" => url(login).into(),
            "postgres_host" => login.host.as_str().into(),
            "postgres_port" => login.port.to_string().into(),
            "postgres_user" => login.user.as_str().into(),
            "postgres_password" => login.password.as_str().into(),
            "postgres_database" => login.database.as_str().into(),
            "schema" => login.schema.as_str().into(),
            _ => return None,
        })
    }
}

/// Returns the URL as libpq and the drivers of other languages read it. User and password are plain: they are ours.
fn url(postgres: &PostgresTarget) -> String {
    let PostgresTarget {
        host,
        port,
        user,
        password,
        database,
        ..
    } = postgres;
    let database: String = database
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    if host.starts_with('/') {
        return format!("postgres://{user}:{password}@/{database}?host={host}&port={port}");
    }
    match host.contains(':') {
        true => format!("postgres://{user}:{password}@[{host}]:{port}/{database}"),
        false => format!("postgres://{user}:{password}@{host}:{port}/{database}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_an_unusual_host_or_database_then_the_url_is_one_all_the_same() {
        let at = |host: &str, database: &str| {
            url(&PostgresTarget {
                host: host.into(),
                port: 5,
                user: "u".into(),
                password: "p".into(),
                database: database.into(),
                schema: "s".into(),
            })
        };
        assert_eq!(
            at("127.0.0.1", "a b/c"),
            "postgres://u:p@127.0.0.1:5/a%20b%2Fc"
        );
        assert_eq!(at("::1", "d"), "postgres://u:p@[::1]:5/d");
        assert_eq!(at("/run/pg", "d"), "postgres://u:p@/d?host=/run/pg&port=5");
    }
}
