//! The limit on open files, and how many connections fit below it.

use std::num::NonZeroUsize;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are open besides connections and reads: the listeners, the log, what the runtime
/// needs, connections to the admin port, and pending connections.
const RESERVED: usize = 32 + 64;

/// What this process may do at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Connections to clients.
    pub connections: NonZeroUsize,
    /// Reads at the source, each of which needs a file or a connection.
    pub reads: NonZeroUsize,
}

/// Raises the limit on open files as far as is allowed, and cuts `wanted` to fit below it.
#[must_use]
pub fn fit(wanted: Fit) -> Fit {
    let limit = raise();
    let fit = wanted.below(limit);
    if fit != wanted {
        tracing::warn!(
            open_files = limit,
            max_connections = fit.connections,
            max_api_reads = fit.reads,
            "the limit on open files is low: --max-connections and --max-api-reads are cut to fit"
        );
    }
    fit
}

/// The soft limit is one for programs that cannot deal with many files; the hard one counts.
fn raise() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

impl Fit {
    fn below(self, limit: usize) -> Self {
        let least = NonZeroUsize::MIN;
        // A very low limit is shared out in halves.
        let usable = limit.saturating_sub(RESERVED).max(limit / 2);
        let reads = self.reads.min(NonZeroUsize::new(usable / 4).unwrap_or(least));
        let left = usable.saturating_sub(reads.get());
        let connections = self.connections.min(NonZeroUsize::new(left).unwrap_or(least));
        Self { connections, reads }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(connections: usize, reads: usize) -> Fit {
        let some = |count| NonZeroUsize::new(count).unwrap();
        Fit { connections: some(connections), reads: some(reads) }
    }

    #[test]
    fn what_is_wanted_is_cut_only_where_files_are_scarce() {
        let wanted = fit(1024, 64);
        for (limit, expected) in [
            (usize::MAX, wanted),
            (1024 + 64 + RESERVED, wanted),
            (1024, fit(1024 - RESERVED - 64, 64)),
            (64, fit(24, 8)),
            (0, fit(1, 1)),
        ] {
            assert_eq!(wanted.below(limit), expected, "{limit}");
        }
    }
}
