"""Facts about appraisals, tasks and how results may be distributed. Scores and results are read with the appraisal."""

from __future__ import annotations

from typing import ClassVar

from crm_core.outbox.events import Event


class _OfAppraisal(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "EliteAppraisal"
    public: ClassVar[tuple[str, ...]] = ("elite_team_id", "member_id", "period", "state")


class EliteAppraisalRated(_OfAppraisal):
    """A team or a member was rated, not yet confirmed (考核评分)."""

    kind: ClassVar[str] = "elite_appraisal.rated"


class EliteAppraisalConfirmed(_OfAppraisal):
    """An appraisal was confirmed: it counts (考核确认)."""

    kind: ClassVar[str] = "elite_appraisal.confirmed"


class EliteAppraisalCorrected(_OfAppraisal):
    """A confirmed appraisal was corrected (考核更正)."""

    kind: ClassVar[str] = "elite_appraisal.corrected"
    why: str


class _OfTask(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "EliteTask"
    public: ClassVar[tuple[str, ...]] = ("elite_team_id", "member_id", "quarter", "side", "point", "target")


class EliteTaskSet(_OfTask):
    """A point of a quarter's tasks was set (任务分解)."""

    kind: ClassVar[str] = "elite_task.set"


class EliteTaskReported(_OfTask):
    """What came of a task was reported (任务完成情况)."""

    kind: ClassVar[str] = "elite_task.reported"


class EliteResultQuotaSet(Event):
    """How results may be distributed was set from a day on (考核结果分布)."""

    kind: ClassVar[str] = "elite_result_quota.set"
    subject_type: ClassVar[str] = "EliteResultQuota"
    public: ClassVar[tuple[str, ...]] = ("team_result", "valid_from", "most_a", "least_c")


EVENTS: tuple[type[Event], ...] = (
    EliteAppraisalRated,
    EliteAppraisalConfirmed,
    EliteAppraisalCorrected,
    EliteTaskSet,
    EliteTaskReported,
    EliteResultQuotaSet,
)
