//! Checkpoints that are written some steps after their owners sent them on their way.

use crate::world::World;

impl World {
    /// One checkpoint is written: those of different owners in any order.
    pub(crate) fn write_one(&mut self) {
        let chosen = self.random.below(self.aside.waiting());
        if self.aside.run_one(chosen) {
            self.sight("a checkpoint was written while its owner went on");
        }
    }

    /// The machine went down with checkpoints on their way.
    pub(crate) fn lose_checkpoints(&mut self) {
        if self.aside.lose() > 0 {
            self.sight("a crash lost a checkpoint on its way");
        }
    }
}
