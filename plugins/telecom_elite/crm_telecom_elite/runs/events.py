"""Facts about pay runs, distributions and statements; what a single person is paid stays in the house."""

from __future__ import annotations

from typing import ClassVar

from crm_core.outbox.events import Event


class _OfRun(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "EliteRun"
    public: ClassVar[tuple[str, ...]] = ("month", "state", "members", "total", "digest")


class EliteRunOpened(_OfRun):
    """A month's pay run was opened (核算开启)."""

    kind: ClassVar[str] = "elite_run.opened"


class EliteRunComputing(_OfRun):
    """A job was asked to compute it (开始计算)."""

    kind: ClassVar[str] = "elite_run.computing"


class EliteRunComputed(_OfRun):
    """Its lines stand (计算完成)."""

    kind: ClassVar[str] = "elite_run.computed"


class EliteRunReopened(_OfRun):
    """It was put back to mend what went in (退回)."""

    kind: ClassVar[str] = "elite_run.reopened"
    why: str


class EliteRunReviewed(_OfRun):
    """Its lines were found right; members see them now (复核通过)."""

    kind: ClassVar[str] = "elite_run.reviewed"


class EliteRunConfirmed(_OfRun):
    """Its members confirmed, or the time for it was over (成员确认完毕)."""

    kind: ClassVar[str] = "elite_run.confirmed"
    by_time: int
    """For how many of them it was over."""


class EliteRunApproved(_OfRun):
    """It was approved for payment (批准发放): `total` is to be paid."""

    kind: ClassVar[str] = "elite_run.approved"


class EliteRunClosed(_OfRun):
    """It never changes again (关闭)."""

    kind: ClassVar[str] = "elite_run.closed"


class _OfStatement(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "EliteStatement"
    public: ClassVar[tuple[str, ...]] = ("run_id", "member_id", "confirmed_at")


class EliteStatementConfirmed(_OfStatement):
    """A member confirmed his pay (确认薪酬单)."""

    kind: ClassVar[str] = "elite_statement.confirmed"


class EliteStatementObjected(_OfStatement):
    """A member objected to his pay (提出异议)."""

    kind: ClassVar[str] = "elite_statement.objected"


class EliteStatementAnswered(_OfStatement):
    """A member's objection was answered (答复异议)."""

    kind: ClassVar[str] = "elite_statement.answered"


class _OfDistribution(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "EliteDistribution"
    public: ClassVar[tuple[str, ...]] = ("elite_team_id", "month", "state")


class EliteDistributionProposed(_OfDistribution):
    """It was proposed how a team divides its commission (提交二次分配)."""

    kind: ClassVar[str] = "elite_distribution.proposed"


class EliteDistributionApproved(_OfDistribution):
    """The Centre signed it; it is in force (二次分配生效)."""

    kind: ClassVar[str] = "elite_distribution.approved"


class EliteDistributionReturned(_OfDistribution):
    """It was sent back, refused or taken back (二次分配退回)."""

    kind: ClassVar[str] = "elite_distribution.returned"


class EliteBonusFactorSet(Event):
    """A factor of the bonus was given for a month (绩效系数变更)."""

    kind: ClassVar[str] = "elite_bonus_factor.set"
    subject_type: ClassVar[str] = "EliteBonusFactor"
    public: ClassVar[tuple[str, ...]] = ("elite_team_id", "month")


class EliteRestWrittenOff(Event):
    """It was decided not to carry on the negative rest of a former member (负数余额核销)."""

    kind: ClassVar[str] = "elite_pay.written_off"
    subject_type: ClassVar[str] = "EliteWriteOff"
    public: ClassVar[tuple[str, ...]] = ("statement_id", "member_id")


EVENTS: tuple[type[Event], ...] = (
    EliteRunOpened,
    EliteRunComputing,
    EliteRunComputed,
    EliteRunReopened,
    EliteRunReviewed,
    EliteRunConfirmed,
    EliteRunApproved,
    EliteRunClosed,
    EliteStatementConfirmed,
    EliteStatementObjected,
    EliteStatementAnswered,
    EliteDistributionProposed,
    EliteDistributionApproved,
    EliteDistributionReturned,
    EliteBonusFactorSet,
    EliteRestWrittenOff,
)
