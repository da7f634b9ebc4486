//! Fail points, for tests of faults: places where a process dies or errs once, when a file in the folder that
//! `FAIL_POINTS` names asks for it. Compiled in only with the feature `fail-points`, never in a release.

/// Whether this point is armed. It is then no more: the file gets another name, which says that it had its effect.
#[cfg(feature = "fail-points")]
#[must_use]
pub fn armed(point: &str) -> bool {
    let Some(folder) = std::env::var_os("FAIL_POINTS") else {
        return false;
    };
    let folder = std::path::Path::new(&folder);
    let fired = folder.join(format!("{point}.fired-{}", std::process::id()));
    // Of several processes at the same point one gets the file.
    std::fs::rename(folder.join(point), fired).is_ok()
}

/// Never.
#[cfg(not(feature = "fail-points"))]
#[must_use]
pub const fn armed(_point: &str) -> bool {
    false
}

/// Dies by SIGKILL, as a machine that is lost, where the point is armed.
#[cfg(feature = "fail-points")]
pub fn die(point: &str) {
    use rustix::process::{Signal, getpid, kill_process};
    if armed(point) && kill_process(getpid(), Signal::KILL).is_err() {
        std::process::abort();
    }
}

/// Nothing.
#[cfg(not(feature = "fail-points"))]
pub const fn die(_point: &str) {}

#[cfg(all(test, not(feature = "fail-points")))]
mod tests {
    #[test]
    fn no_fail_point_is_compiled_into_what_is_shipped() {
        assert!(!super::armed("any"));
        super::die("any");
    }
}
