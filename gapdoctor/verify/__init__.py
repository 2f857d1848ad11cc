"""Which fix helped: ranked on half A, judged on half B beside a control, then one is chosen."""

from gapdoctor.verify.arms import GIVEN, Arm, HeldoutRows, arm_record, given_record
from gapdoctor.verify.choose import Candidate, Choice, candidates, choose
from gapdoctor.verify.comparison import Comparison, difference_interval
from gapdoctor.verify.judge import Judgement, best_first, judge, untested
from gapdoctor.verify.nearness import Nearness, control_near_given
from gapdoctor.verify.rank import Ranked, Ranking, rank

__all__ = [
    "GIVEN",
    "Arm",
    "Candidate",
    "Choice",
    "Comparison",
    "HeldoutRows",
    "Judgement",
    "Nearness",
    "Ranked",
    "Ranking",
    "arm_record",
    "best_first",
    "candidates",
    "choose",
    "control_near_given",
    "difference_interval",
    "given_record",
    "judge",
    "rank",
    "untested",
]
