//! With which commands of a session it is time for what not every command is worth.

/// Counts a session's commands to the next one that something is done with: always, or ever more
/// rarely.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Commands to come before it.
    left: u16,
    /// Those that come between two. Even, so that what clients do again and again, two commands or four
    /// for each file, is met in all its parts: not all of them are alike.
    apart: u16,
}

impl Pace {
    /// Due for the first time after so many commands, an even number, and again after as many.
    pub(crate) const fn after(commands: u16) -> Pace {
        Pace { left: commands, apart: commands }
    }

    /// Counts a command; tells whether it is time with this one. It then is with all that follow, until
    /// one of the other methods says more.
    pub(crate) fn is_due(&mut self) -> bool {
        let is_due = self.left == 0;
        self.left = self.left.saturating_sub(1);
        is_due
    }

    /// It is time with every command.
    pub(crate) fn reset(&mut self) {
        *self = Pace::after(0);
    }

    /// Has as many commands come before the next one as before this one.
    pub(crate) fn keep(&mut self) {
        self.left = self.apart;
    }

    /// Has twice as many come and two more, up to `most`, an even number.
    pub(crate) fn slow_down(&mut self, most: u16) {
        self.apart = self.apart.saturating_mul(2).saturating_add(2).min(most);
        self.keep();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The commands that it is time with, of so many, each slower than the one before.
    fn ever_slower(first: u16, most: u16, commands: usize) -> Vec<usize> {
        let mut pace = Pace::after(first);
        let due = |command| {
            let is_due = pace.is_due();
            if is_due {
                pace.slow_down(most);
            }
            is_due.then_some(command)
        };
        (0..commands).filter_map(due).collect()
    }

    #[test]
    fn what_is_in_vain_is_done_ever_more_rarely_up_to_a_limit() {
        assert_eq!(ever_slower(0, 250, 1000), [0, 3, 10, 25, 56, 119, 246, 497, 748, 999]);
        assert_eq!(ever_slower(8, 40, 200), [8, 27, 66, 107, 148, 189]);
    }

    #[test]
    fn what_is_kept_up_is_done_at_equal_distances() {
        let mut pace = Pace::after(2);
        let mut due = Vec::new();
        for command in 0..10 {
            if pace.is_due() {
                pace.keep();
                due.push(command);
            }
        }
        assert_eq!(due, [2, 5, 8]);
    }

    #[test]
    fn all_parts_of_what_a_client_repeats_are_met() {
        for (first, most) in [(0, 250), (8, 40)] {
            let due = ever_slower(first, most, 3000);
            let slowest = due.iter().filter(|command| **command >= 1000);
            for cycle in [2, 4] {
                let parts: BTreeSet<usize> = slowest.clone().map(|due| due % cycle).collect();
                assert_eq!(parts.len(), cycle, "{first}, {most}");
            }
        }
    }
}
