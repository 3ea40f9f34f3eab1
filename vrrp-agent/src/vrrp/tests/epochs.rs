//! An epoch is used once, whatever an earlier run has left in the kernel.

use super::*;

/// With `vrrp_startup_delay` the instance starts long after it has read what an earlier run left.
#[test]
fn c4_an_instance_that_starts_late_does_not_use_the_epochs_of_its_past() {
    for resume in [Resume::Nothing, Resume::Holding { until: at(99.0) }] {
        let mut instance = Instance::new(params(100), at(100.0));
        instance.resume(at(100.0), SavedState { epoch: 7, resume });
        assert_eq!(instance.state(), State::Initialize, "it waits to be started: {resume:?}");
        assert!(instance.epoch() > 7, "its first role is of an epoch of its own: {resume:?}");
        let waiting = instance.epoch();
        instance.start(at(110.0));
        assert!(instance.epoch() > waiting);
        assert_eq!(instance.state(), State::Backup);
    }
}
