//! What a store's URL asks for (pure).

use super::template;
use super::{Remote, Store};

/// The parts of a store's URL, its templates filled with some key.
#[derive(Clone, Debug)]
pub struct Url {
    pub scheme: String,
    pub host: String,
    pub port: Option<u16>,
    pub path: String,
    /// Whether it holds a user name or a password. They are not kept: nothing may show them.
    pub has_credentials: bool,
}

impl Url {
    /// Reads a URL; `None` where it has no scheme or no host.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (rest, _) = rest.split_once('#').unwrap_or((rest, ""));
        let (before, _) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = before.find('/').map_or((before, ""), |at| before.split_at(at));
        let (credentials, authority) =
            authority.rsplit_once('@').map_or((None, authority), |(before, at)| (Some(before), at));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (authority, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!host.is_empty()).then(|| Self {
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            port,
            path: path.to_owned(),
            has_credentials: credentials.is_some(),
        })
    }

    /// Where to connect: `host:port`.
    pub fn authority(&self) -> String {
        let port = self.port.unwrap_or(443);
        if self.host.contains(':') {
            return format!("[{}]:{port}", self.host);
        }
        format!("{}:{port}", self.host)
    }

    /// The URL that a store asks for some key.
    pub fn of(store: &Store) -> Option<Self> {
        let remote =
            Remote { key: "key".to_owned(), property: "property".to_owned(), ..Remote::default() };
        // What cannot be filled in lies mostly in the query; the rest is judged all the same.
        let url = template::url(&store.webhook.url, &remote, "default");
        Self::parse(url.as_deref().unwrap_or(&store.webhook.url))
    }
}

/// For an ExternalSecret: the query that its store makes of a reference.
pub fn query_of(store: &Store, remote: &Remote, namespace: &str) -> Option<String> {
    let url = template::url(&store.webhook.url, remote, namespace).ok()?;
    Some(url.split_once('?').map_or(String::new(), |(_, query)| query.to_owned()))
}

/// For `doctor KEY`: the query of README's store.
pub fn query_of_key(key: &str, property: Option<&str>) -> String {
    let property = property.unwrap_or_default().to_owned();
    let remote = Remote { key: key.to_owned(), property, ..Remote::default() };
    let template = "?key={{ .remoteRef.key }}&property={{ .remoteRef.property }}";
    let query = template::url(template, &remote, "").unwrap_or_default();
    query.trim_start_matches('?').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let parse = |url| {
            let url = Url::parse(url)?;
            Some((url.authority(), url.host, url.path))
        };
        let parts = |authority: &str, host: &str, path: &str| {
            Some((authority.to_owned(), host.to_owned(), path.to_owned()))
        };
        for (url, expected) in [
            ("https://a.b:8443/webhook?key=x/y", parts("a.b:8443", "a.b", "/webhook")),
            ("https://user:pw@a:8443/webhook", parts("a:8443", "a", "/webhook")),
            ("https://a/webhook#f", parts("a:443", "a", "/webhook")),
            ("https://a?key=x", parts("a:443", "a", "")),
            ("https://[::1]:8443/webhook", parts("[::1]:8443", "::1", "/webhook")),
            ("https://[::1]/webhook", parts("[::1]:443", "::1", "/webhook")),
            ("https://a:port/webhook", None),
            ("https:///webhook", None),
            ("a.b:8443/webhook", None),
            ("", None),
        ] {
            assert_eq!(parse(url), expected, "{url}");
        }
    }

    #[test]
    fn a_key_is_asked_for_as_eso_asks_for_it() {
        assert_eq!(query_of_key("a", None), "key=a&property=");
        assert_eq!(
            query_of_key("key=a&path=b.c", Some("p")),
            "key=key%3Da%26path%3Db.c&property=p"
        );
    }
}
