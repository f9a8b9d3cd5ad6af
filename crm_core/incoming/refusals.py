"""The words of this room's refusals, and of the reasons why a request failed, in both languages."""

from __future__ import annotations

from typing import Final

from crm_core.errors import Message

UNKNOWN_VERIFIER: Final = Message(
    "INCOMING_UNKNOWN_VERIFIER", "There is no verifier {verifier}; there are: {known}.",
    "没有验签方式 {verifier}，可用的有：{known}。",
)  # fmt: skip
UNKNOWN_HANDLER: Final = Message(
    "INCOMING_UNKNOWN_HANDLER", "There is no handler {handler} in this line; there are: {known}.",
    "该业务线没有处理程序 {handler}，可用的有：{known}。",
)  # fmt: skip
ONE_WAY: Final = Message(
    "INCOMING_ONE_WAY", "Give a handler or a mapping, one of them.", "请填写处理程序或字段映射，二者选一。"
)
NAME_TAKEN: Final = Message(
    "INCOMING_NAME_TAKEN", "A source {name} exists in this line already.", "该业务线已有名为 {name} 的来源。"
)
ACTOR_BEYOND: Final = Message(
    "INCOMING_ACTOR_BEYOND",
    "The source would act as somebody who may do more than you ({scope}); ask an administrator.",
    "该来源将以权限高于您的用户身份操作（{scope}），请联系管理员。",
)
ACTOR_UNFIT: Final = Message(
    "INCOMING_ACTOR_UNFIT",
    "The user the source acts as is disabled, or has no role in line {line}.",
    "该来源使用的账号已停用，或在业务线 {line} 没有角色。",
)
NOT_WAITING: Final = Message(
    "INCOMING_NOT_WAITING",
    "The request is {state}; only one that failed or was discarded is processed again.",
    "该请求状态为 {state}，只有失败或已放弃的请求才能重新处理。",
)
NOT_OPEN: Final = Message(
    "INCOMING_NOT_OPEN",
    "The request is {state}; only one that failed or waits is discarded.",
    "该请求状态为 {state}，只有失败或等待中的请求才能放弃。",
)
BODY_GONE: Final = Message(
    "INCOMING_BODY_GONE",
    "The body of the request was removed after its time; it cannot be processed again.",
    "该请求的正文已过保留期被清除，无法重新处理。",
)

# -- mappings

WRONG_STEP: Final = Message(
    "INCOMING_WRONG_STEP",
    "A step either performs a command with an input, or finds a type by where; this one does neither, or both.",
    "每一步要么执行命令（command、input），要么查找记录（find、where），二者选一。",
)
STEP_TWICE: Final = Message(
    "INCOMING_STEP_TWICE", "An earlier step is called {name} too.", "前面已有名为 {name} 的步骤。"
)
NO_STEPS: Final = Message("INCOMING_NO_STEPS", "A mapping needs a step.", "映射至少需要一个步骤。")
UNKNOWN_COMMAND: Final = Message(
    "INCOMING_UNKNOWN_COMMAND", "There is no command {command} in this line.", "该业务线没有命令 {command}。"
)
UNKNOWN_FIELD: Final = Message(
    "INCOMING_UNKNOWN_FIELD", "{what} has no field {name}; there are: {known}.",
    "{what} 没有字段 {name}，可用的有：{known}。",
)  # fmt: skip
UNKNOWN_TYPE: Final = Message(
    "INCOMING_UNKNOWN_TYPE", "There is no type {type} that can be found.", "没有可查找的类型 {type}。"
)
UNKNOWN_STEP: Final = Message(
    "INCOMING_UNKNOWN_STEP", "No earlier step is called {name}.", "前面没有名为 {name} 的步骤。"
)
WRONG_EXPRESSION: Final = Message(
    "INCOMING_WRONG_EXPRESSION",
    "{expression}: no JMESPath, {problem}",
    "{expression}：JMESPath 表达式错误，{problem}",
)
NEGATED: Final = Message(
    "INCOMING_NEGATED",
    "{expression}: JMESPath negates the first name alone here; write !(a.b).",
    "{expression}：此处 JMESPath 只对第一个名称取反，请写成 !(a.b)。",
)

# -- why a request failed

UNREADABLE: Final = Message(
    "INCOMING_UNREADABLE", "The body cannot be read: {problem}", "请求正文无法解析：{problem}"
)
NOT_EVALUATED: Final = Message(
    "INCOMING_NOT_EVALUATED",
    "{expression} fails on this request: {problem}",
    "{expression} 对该请求求值失败：{problem}",
)
TOO_LARGE: Final = Message(
    "INCOMING_TOO_LARGE",
    "An expression gives too much: more than {most} values.",
    "表达式结果过大：超过 {most} 个值。",
)
AMBIGUOUS: Final = Message(
    "INCOMING_AMBIGUOUS",
    "Several records of type {type} match; only one may.",
    "有多条 {type} 记录符合条件，只能有一条。",
)
NOT_COMPARABLE: Final = Message(
    "INCOMING_NOT_COMPARABLE", "{value} is no value to find by.", "{value} 不能作为查找条件。"
)
HANDLER_FAILED: Final = Message(
    "INCOMING_HANDLER_FAILED",
    "Processing failed unexpectedly ({error}); the log tells more.",
    "处理时发生意外错误（{error}），详见日志。",
)
GAVE_UP: Final = Message(
    "INCOMING_GAVE_UP",
    "Processing was interrupted again and again ({error}).",
    "处理多次中断（{error}），已放弃重试。",
)
TOO_SLOW: Final = Message(
    "INCOMING_TOO_SLOW", "Processing took longer than {seconds} s.", "处理超过 {seconds} 秒。"
)
TOO_OLD: Final = Message("INCOMING_TOO_OLD", "Nobody mended it within {days} days.", "{days} 天内无人处理。")

MESSAGES: Final = (
    UNKNOWN_VERIFIER, UNKNOWN_HANDLER, ONE_WAY, NAME_TAKEN, ACTOR_BEYOND, ACTOR_UNFIT, NOT_WAITING, NOT_OPEN,
    BODY_GONE, WRONG_STEP, STEP_TWICE, NO_STEPS, UNKNOWN_COMMAND, UNKNOWN_FIELD, UNKNOWN_TYPE, UNKNOWN_STEP,
    WRONG_EXPRESSION, NEGATED, UNREADABLE, NOT_EVALUATED, TOO_LARGE, AMBIGUOUS, NOT_COMPARABLE, HANDLER_FAILED,
    GAVE_UP, TOO_SLOW, TOO_OLD,
)  # fmt: skip
