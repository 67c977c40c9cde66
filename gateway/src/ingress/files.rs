//! Files: how many descriptors the process may open, which bounds its connections.
//!
//! Most shells and systemd give 1024, of which the store and the sinks need some. Without
//! enough, connections that `max_connections` allows would fail one by one under load.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For everything that is no pushed connection: the store, sinks, the operators' listener.
const OTHERS: u64 = 256;

/// Raises the limit of this process so that `connections` can be open at once. Says what to
/// do where it may not.
pub fn make_room(connections: usize) -> Result<(), String> {
    let needed = u64::try_from(connections).unwrap_or(u64::MAX);
    let needed = needed.saturating_add(OTHERS);
    let limit = getrlimit(Resource::Nofile);
    let current = match wanted(&limit, needed) {
        Ok(None) => return Ok(()),
        Ok(Some(current)) => current,
        Err(maximum) => {
            return Err(format!(
                "server.max_connections: {connections} connections need {needed} open files, \
                 but this process may open {maximum}; raise the limit (LimitNOFILE= in the \
                 systemd unit, `ulimit -Hn` in a shell) or lower max_connections to {}",
                maximum.saturating_sub(OTHERS)
            ));
        }
    };
    let raised = Rlimit {
        current: Some(current),
        ..limit
    };
    setrlimit(Resource::Nofile, raised).map_err(|error| {
        format!(
            "server.max_connections: the limit of open files cannot be raised to {current}: {error}"
        )
    })
}

/// The soft limit to set, if any; an error is the hard limit that does not allow it.
fn wanted(limit: &Rlimit, needed: u64) -> Result<Option<u64>, u64> {
    match (limit.current, limit.maximum) {
        (None, _) => Ok(None),
        (Some(current), _) if current >= needed => Ok(None),
        (_, Some(maximum)) if maximum < needed => Err(maximum),
        _ => Ok(Some(needed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_as_far_as_is_needed_and_allowed() {
        let limit = |current, maximum| Rlimit { current, maximum };
        assert_eq!(wanted(&limit(Some(1024), Some(4096)), 1280), Ok(Some(1280)));
        assert_eq!(wanted(&limit(Some(1024), None), 1280), Ok(Some(1280)));
        assert_eq!(wanted(&limit(Some(1280), Some(1280)), 1280), Ok(None));
        assert_eq!(wanted(&limit(None, None), 1280), Ok(None));
        assert_eq!(wanted(&limit(Some(1024), Some(1024)), 1280), Err(1024));
    }
}
