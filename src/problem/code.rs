//! The table of everything that can go wrong: status, code and title.

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $status:literal $code:literal, $title:literal;)*) => {
        /// What went wrong. Each code is stable: callers and alerts may rely on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $(#[doc = $doc])* $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            const fn row(self) -> (u16, &'static str, &'static str) {
                match self {
                    $(Self::$name => ($status, $code, $title),)*
                }
            }
        }
    };
}

codes! {
    UnknownPath = 400 "unknown-path", "There is nothing at this path; the endpoint is /webhook";
    MalformedRequest = 400 "malformed-request", "The head of the request breaks the rules of HTTP/1.1";
    MalformedHost = 400 "malformed-host", "The request does not name one valid host";
    BodyNotAllowed = 400 "body-not-allowed", "A request here has no body";
    RepeatedAuthorization = 400 "repeated-authorization", "There is more than one Authorization header";
    MalformedAuthorization = 400 "malformed-authorization", "The Authorization header is not 'Bearer' and one token";
    MalformedQuery = 400 "malformed-query", "The query string is not properly percent-encoded text";
    UnknownParameter = 400 "unknown-parameter", "The query has a parameter that does not exist here";
    RepeatedParameter = 400 "repeated-parameter", "The query has a parameter twice";
    MissingKey = 400 "missing-key", "The parameter key is missing or empty";
    InvalidKey = 400 "invalid-key", "The key is not [namespace/]name by the rules of Kubernetes";
    ConflictingProperty = 400 "conflicting-property", "property and path say different things";
    UnknownEncoding = 400 "unknown-encoding", "The only encoding is base64";
    NoVersions = 400 "no-versions", "Kubernetes Secrets have no versions";
    RawNeedsProperty = 400 "raw-needs-property", "Only a property can be had as application/octet-stream";
    NoToken = 401 "no-token", "The request carries no bearer token";
    TokenNotRendered = 401 "token-not-rendered", "The store's header template names an entry that is not there, so that no token was sent";
    TokenNotJwt = 401 "token-not-jwt", "The bearer token is not a JWT";
    TokenMismatch = 401 "token-mismatch", "The bearer token is not the one that the token Secret holds now";
    TokenExpired = 401 "token-expired", "The token has expired";
    TokenNotYetValid = 401 "token-not-yet-valid", "The token is not valid yet";
    NamespaceNotServed = 403 "namespace-not-served", "Secrets of this namespace are not served";
    NotLabelled = 403 "not-labelled", "The Secret is not labelled for serving";
    NeverServed = 403 "never-served", "Secrets of this kind are never served";
    NoSuchSecret = 404 "no-such-secret", "There is no such Secret";
    MethodNotAllowed = 405 "method-not-allowed", "Only GET and HEAD are allowed";
    UriTooLong = 414 "uri-too-long", "The URL is too long";
    NoSuchEntry = 422 "no-such-entry", "The Secret has no such entry";
    NoSuchPath = 422 "no-such-path", "The entry has no such path";
    NotText = 422 "not-text", "The value is not UTF-8 text";
    TokenSecretMissing = 500 "token-secret-missing", "The Secret that holds the token does not exist";
    TokenEntryMissing = 500 "token-entry-missing", "The token Secret has no token: its entry is missing or empty";
    StoredTokenNotJwt = 500 "stored-token-not-jwt", "What the token Secret holds is not a JWT";
    StoredTokenAlgNone = 500 "stored-token-alg-none", "What the token Secret holds is an unsecured JWT";
    StoredTokenBadClaims = 500 "stored-token-bad-claims", "A claim of the stored token is repeated, no number or out of range";
    RbacForbidden = 500 "rbac-forbidden", "The service's ServiceAccount may not read the Secret";
    InvalidData = 500 "invalid-data", "An entry of the Secret is not valid base64";
    DuplicateManifest = 500 "duplicate-manifest", "Two manifests define the Secret";
    UnreadableManifest = 500 "unreadable-manifest", "A manifest cannot be read";
    InternalError = 500 "internal-error", "The service has failed in a way that it should not";
    ApiUnavailable = 503 "api-unavailable", "The Kubernetes API server is unavailable";
    DeadlineExceeded = 503 "deadline-exceeded", "No answer was ready within the deadline";
    Overloaded = 503 "overloaded", "Too much is under way";
}

impl Code {
    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().0
    }

    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().1
    }

    /// Where it is explained.
    #[must_use]
    pub fn explained_at(self) -> String {
        format!("docs/troubleshooting.md#{}", self.as_str())
    }

    /// Its fixed title.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_documentation_is_this_one() {
        let rows: String = Code::ALL
            .iter()
            .map(|code| format!("| {} | `{}` | {} |\n", code.status(), code.as_str(), code.title()))
            .collect();
        let documented = include_str!("../../docs/api.md");
        assert!(documented.contains(&rows), "docs/api.md should hold:\n{rows}");
    }

    #[test]
    fn every_code_is_explained_to_whoever_sees_it() {
        let documented = include_str!("../../docs/troubleshooting.md");
        for code in Code::ALL {
            let heading = format!("\n#### {}\n\n{}. ", code.as_str(), code.status());
            assert!(documented.contains(&heading), "docs/troubleshooting.md lacks {heading}");
        }
        assert_eq!(documented.matches("\n#### ").count(), Code::ALL.len());
    }

    #[test]
    fn a_404_says_that_a_secret_does_not_exist_and_nothing_else() {
        let not_found = Code::ALL.iter().filter(|code| code.status() == 404);
        assert_eq!(not_found.collect::<Vec<_>>(), [&Code::NoSuchSecret]);
    }
}
