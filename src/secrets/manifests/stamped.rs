//! What was read from a file or folder, and when it is still what stands there.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags};

/// Longer than a tick of any kernel's clock, which a local file system takes its times from.
pub(super) const A_TICK: Duration = Duration::from_millis(20);

/// How long a stamp must have been seen before a read that it vouches for. No file system that
/// is in use has coarser timestamps.
pub(super) const SETTLED: Duration = Duration::from_secs(2);

/// What changes with the contents of a file, or with the names in a folder.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Nobody can set it, unlike the time of modification.
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// The stamp of what was read.
pub(super) struct Seen {
    stamp: Stamp,
    /// Since when this stamp is known.
    since: Instant,
    /// Whether each change since the read has changed it.
    vouches: bool,
}

impl Seen {
    /// A stamp that is seen at `now`, after a read that began at `began`; `before` is what was
    /// seen at the read before.
    ///
    /// A change made in the same tick of the file system's clock as the one before it leaves the
    /// stamp as it was. Where the clock has ticked on between `since` and `began`, whatever
    /// changed after `began` has another stamp.
    fn new(
        stamp: Stamp,
        (began, now): (Instant, Instant),
        before: Option<&Self>,
        settled: Duration,
    ) -> Self {
        let same = before.filter(|before| before.stamp == stamp);
        let since = same.map_or(now, |before| before.since);
        let age = began.checked_duration_since(since);
        Self { stamp, since, vouches: age.is_some_and(|age| age >= settled) }
    }

    /// Whether `path` has this stamp.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|metadata| Stamp::of(&metadata) == self.stamp)
    }

    /// Whether a change after `began` may have left the stamp as it is, because the file system's
    /// clock has not ticked between that change and the one before. A stamp from the future is of
    /// another clock, and tells nothing.
    pub(super) fn may_hide_a_change_since(&self, began: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.stamp.changed;
        // A file system that knows whole seconds only.
        let tick = if nanoseconds == 0 { SETTLED } else { A_TICK };
        let part = |number: i64| u64::try_from(number).unwrap_or_default();
        let changed = Duration::from_secs(part(seconds)) + Duration::from_nanos(part(nanoseconds));
        let since_epoch = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let tick_before = since_epoch(began).saturating_sub(tick);
        (tick_before..=since_epoch(SystemTime::now())).contains(&changed)
    }

    /// Whether `path` certainly holds now what was read.
    pub(super) fn is_current(&self, path: &Path) -> bool {
        self.vouches && self.is_at(path)
    }
}

/// What was read, with the stamp of what it was read from.
pub(super) struct Stamped<T> {
    pub(super) seen: Seen,
    pub(super) value: T,
}

impl<T> Stamped<T> {
    /// Opens `path`, a file or a folder, and reads it by `read`. `before` is what was seen there
    /// the last time.
    ///
    /// # Errors
    /// Where it cannot be opened, is of another kind, or `read` fails.
    pub(super) fn read(
        path: &Path,
        before: Option<&Seen>,
        settled: Duration,
        read: impl FnOnce(&File) -> io::Result<T>,
    ) -> io::Result<Self> {
        let began = Instant::now();
        let file = open(path)?;
        let value = read(&file)?;
        // Of the open file: `path` may lead elsewhere by now.
        let stamp = Stamp::of(&file.metadata()?);
        Ok(Self { seen: Seen::new(stamp, (began, Instant::now()), before, settled), value })
    }
}

/// Opens a file or a folder, and nothing else: a FIFO or a terminal may not answer for ever, and to
/// open a device may set something going.
fn open(path: &Path) -> io::Result<File> {
    refuse_special(&fs::metadata(path)?)?;
    // It may be something else by now, and some files of /proc wait for data.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file =
        File::from(rustix::io::retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?);
    refuse_special(&file.metadata()?)?;
    Ok(file)
}

fn refuse_special(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() || metadata.is_dir() {
        return Ok(());
    }
    Err(io::Error::other("neither a file nor a folder"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_secs(1);

    fn stamp(second: i64) -> Stamp {
        Stamp { device: 1, inode: 2, size: 3, modified: (second, 0), changed: (second, 0) }
    }

    #[test]
    fn a_stamp_vouches_only_for_reads_that_began_well_after_it_was_first_seen() {
        let start = Instant::now();
        let at = |seconds| start + TICK * seconds;
        let read = |second, began, before| {
            Seen::new(stamp(second), (at(began), at(began + 1)), before, SETTLED)
        };
        let first = read(1, 0, None);
        assert!(!first.vouches);
        assert!(!read(1, 1, Some(&first)).vouches);
        assert!(!read(1, 2, Some(&first)).vouches);
        let settled = read(1, 3, Some(&first));
        assert!(settled.vouches);
        assert!(read(1, 9, Some(&settled)).vouches);

        let other = read(2, 9, Some(&settled));
        assert!(!other.vouches, "another stamp begins to count anew");
        assert!(!read(1, 19, Some(&other)).vouches, "and so does one that comes back");
    }

    #[test]
    fn a_stamp_of_the_tick_in_which_reading_began_may_hide_a_change() {
        let began = SystemTime::now() - TICK;
        let seen = |changed: SystemTime| {
            let changed = changed.duration_since(UNIX_EPOCH).unwrap();
            let nanoseconds = i64::from(changed.subsec_nanos());
            let stamp = Stamp { changed: (changed.as_secs() as i64, nanoseconds), ..stamp(1) };
            let now = Instant::now();
            Seen::new(stamp, (now, now), None, SETTLED).may_hide_a_change_since(began)
        };
        assert!(!seen(began - 2 * A_TICK));
        assert!(seen(began - A_TICK / 2));
        assert!(seen(began + TICK / 2));
        assert!(!seen(began + 60 * TICK), "a clock that is ahead would spoil every answer");
        let whole = |time: SystemTime| {
            UNIX_EPOCH + Duration::from_secs(time.duration_since(UNIX_EPOCH).unwrap().as_secs())
        };
        assert!(seen(whole(began)));
        assert!(!seen(whole(began) - 2 * SETTLED));
    }

    #[test]
    fn each_part_of_a_stamp_counts() {
        let one = stamp(1);
        for other in [
            Stamp { device: 9, ..one },
            Stamp { inode: 9, ..one },
            Stamp { size: 9, ..one },
            Stamp { modified: (1, 9), ..one },
            Stamp { changed: (1, 9), ..one },
        ] {
            assert!(one != other);
        }
    }
}
