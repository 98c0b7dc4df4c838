"""The alpha that AdamAR finds for itself, from the length of an epoch."""

from __future__ import annotations

from absl import logging

from tf_helen import checks, replicas, tables
from tf_helen.optimizers.decay_law import FixedDecay, FoundDecay, alpha_for
from tf_helen.optimizers.history import RowHistory
from tf_helen.optimizers.slots import HISTORY, fill

_LEAST_EPOCH = 5  # steps; what is shorter is a trial, not a pass over data


class EpochAlpha:
    """Mixin of `IntervalDecay`: `alpha="auto"`."""

    def _make_law(self) -> FixedDecay | FoundDecay:
        if self.alpha != "auto":
            if self.steps_per_epoch is not None:
                raise ValueError(
                    "`steps_per_epoch` is for `alpha='auto'`. Received: steps_per_epoch="
                    f"{self.steps_per_epoch!r} with alpha={self.alpha}"
                )
            return FixedDecay(self.alpha)
        if self.decay == "on_occurrence":
            raise ValueError("`alpha='auto'` is for continuous decay. Received: 'on_occurrence'")
        if self.steps_per_epoch is not None:
            checks.whole_number("steps_per_epoch", self.steps_per_epoch)
        self._found_alpha = self.add_variable((), initializer="zeros", name="alpha")
        # Steps of the longest epoch that was finished.
        self._epoch_steps = self.add_variable((), "zeros", "int64", name="epoch_steps")
        self._epoch_began_at = 0
        return FoundDecay(self._found_alpha)

    def begin_epoch(self) -> None:
        """With `alpha="auto"`, takes up the alpha that fits the epochs finished so far.

        `tf_helen.Model.fit` calls it before each epoch and `end_epoch` after it; a custom loop
        must. Until an epoch is over no row decays; then rows decay by their whole absence.
        """
        if self.alpha != "auto" or not self.built:
            return
        self._epoch_began_at = self.steps_done()
        steps = int(self._epoch_steps.numpy())
        if self.steps_per_epoch is not None:
            steps = self.steps_per_epoch if self._epoch_began_at >= self.steps_per_epoch else 0
        found, before = alpha_for(steps) if steps else 0.0, float(self._found_alpha.numpy())
        if steps == 0 or abs(found - before) <= 1e-6 * found:
            return
        logging.info("alpha='auto': %d steps per epoch, alpha %.3g", steps, found)
        self.finalize_variable_values(self._trainable_variables)  # by the alpha until now
        fill(self._found_alpha, found)
        for variable in self._trainable_variables:
            slots = self.slots_of(variable)
            # What is not trained now stays as it is.
            if before or HISTORY not in slots or not self.is_trained(variable):
                continue
            for copy in replicas.copies(slots[HISTORY]):
                history = RowHistory(self.history_columns(), copy.read_value())
                copy.assign(history.replace(decayed_to=history["last_step"]).record)
            self._write_swept_at(variable, -1)
            if tables.of(variable) is not None:
                tables.of(variable).restored()

    def end_epoch(self) -> None:
        """With `alpha="auto"`, notes how many steps the epoch had that is now finished."""
        if self.alpha == "auto" and self.built:
            steps = self.steps_done() - self._epoch_began_at
            if steps >= _LEAST_EPOCH:
                fill(self._epoch_steps, max(steps, int(self._epoch_steps.numpy())))

    def epoch_state(self) -> list[int]:
        return [self._epoch_began_at] if self.alpha == "auto" else []

    def set_epoch_state(self, state: list[int]) -> None:
        if self.alpha == "auto":
            (self._epoch_began_at,) = state
