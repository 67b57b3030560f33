//! Takes fdatasync away, so that the harness can be seen to notice: the kernel answers it with success and does nothing.

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// From now on, in this thread and all that it starts.
pub(crate) fn leave_out_fdatasync() {
    let rules = [(libc::SYS_fdatasync, Vec::new())].into_iter().collect();
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(0), architecture).unwrap();
    seccompiler::apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
}
