//! A timer of one tick, which one thread waits for and others set and stop, on Linux without waking it.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(test, not(target_os = "linux")))]
mod portable;

#[cfg(target_os = "linux")]
pub(super) use linux::Timer;
#[cfg(not(target_os = "linux"))]
pub(super) use portable::Timer;

#[cfg(test)]
mod tests {
    use std::thread;

    #[cfg(target_os = "linux")]
    use super::linux;
    use super::portable;

    /// Whoever waits for a timer goes on each time that it is set, before or meanwhile.
    macro_rules! wakes {
        ($timer:expr) => {
            let timer = $timer.unwrap();
            assert!(!timer.is_set());
            timer.set();
            assert!(timer.is_set());
            timer.stop();
            assert!(!timer.is_set());
            thread::scope(|scope| {
                let waiting = scope.spawn(|| timer.wait());
                timer.set();
                waiting.join().unwrap();
            });
            timer.set();
            timer.wait();
        };
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_waits_for_the_timer_of_linux_goes_on_when_it_is_up() {
        wakes!(linux::Timer::new());
    }

    #[test]
    fn who_waits_for_the_timer_of_all_systems_goes_on_when_it_is_up() {
        wakes!(portable::Timer::new());
    }
}
