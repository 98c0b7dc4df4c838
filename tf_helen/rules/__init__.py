"""The update rules of the optimizers.

A rule is a frozen dataclass with a pure `update`. A combinator is a rule that wraps a rule:
`GroupLasso(IntervalDecay(AdamRule(), alpha=1e-4), l21=1e-5)` is the rule of
`tf_helen.GroupAdamAR`.
"""

import keras

from tf_helen.core.rule import Combinator, Direction, Rule, Step
from tf_helen.rules.ada_hessian import AdaHessianRule
from tf_helen.rules.adagrad import AdagradRule, RowWiseAdagradRule
from tf_helen.rules.adam import AdamRule
from tf_helen.rules.counter_decay import CounterDecay
from tf_helen.rules.cow_clip import CowClip
from tf_helen.rules.frequency_aware_rate import FrequencyAwareRate
from tf_helen.rules.ftrl import GroupFTRLRule
from tf_helen.rules.group_lasso import GroupLasso
from tf_helen.rules.interval_decay import IntervalDecay
from tf_helen.rules.moments import MomentsRule
from tf_helen.rules.nadam import NadamRule
from tf_helen.rules.on_touch_decay import OnTouchDecay
from tf_helen.rules.radam import RAdamRule
from tf_helen.rules.rmsprop import RowWiseRMSpropRule
from tf_helen.rules.sgd import MomentumRule, SGDRule

for _cls in (
    AdaHessianRule,
    AdagradRule,
    AdamRule,
    CounterDecay,
    CowClip,
    FrequencyAwareRate,
    GroupFTRLRule,
    GroupLasso,
    IntervalDecay,
    MomentumRule,
    NadamRule,
    OnTouchDecay,
    RAdamRule,
    RowWiseAdagradRule,
    RowWiseRMSpropRule,
    SGDRule,
):
    keras.saving.register_keras_serializable(package="tf_helen.rules")(_cls)

__all__ = [
    "AdaHessianRule",
    "AdagradRule",
    "AdamRule",
    "Combinator",
    "CounterDecay",
    "CowClip",
    "Direction",
    "FrequencyAwareRate",
    "GroupFTRLRule",
    "GroupLasso",
    "IntervalDecay",
    "MomentsRule",
    "MomentumRule",
    "NadamRule",
    "OnTouchDecay",
    "RAdamRule",
    "RowWiseAdagradRule",
    "RowWiseRMSpropRule",
    "Rule",
    "SGDRule",
    "Step",
]
