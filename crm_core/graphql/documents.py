"""Parses and validates GraphQL documents, and remembers the valid ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import MaxIntrospectionDepthRule

from crm_core.graphql.limits import too_deep

REMEMBERED_DOCUMENTS: Final = 500
LONGEST_REMEMBERED: Final = 20_000  # characters; longer documents are read anew each time
MOST_VALIDATION_ERRORS: Final = 20
RULES: Final = tuple(dict.fromkeys((*specified_rules, MaxIntrospectionDepthRule)))


class Documents:
    """Documents parsed and validated before, the latest used kept."""

    def __init__(self, schema: GraphQLSchema, tokens: int) -> None:
        """`tokens` is the most lexical tokens a document may have."""
        self._schema, self._tokens = schema, tokens
        self._known: OrderedDict[str, DocumentNode] = OrderedDict()
        self._kept: dict[str, DocumentNode] = {}

    def keep(self, query: str) -> DocumentNode | Sequence[GraphQLError]:
        """Like `read`, but a valid document is never forgotten: for documents known at the start."""
        found = self._kept.get(query) or self._read(query)
        if isinstance(found, DocumentNode):
            self._kept[query] = found
        return found

    def read(self, query: str) -> DocumentNode | Sequence[GraphQLError]:
        """The valid document, or what is wrong with it."""
        kept = self._kept.get(query)
        if kept is not None:
            return kept
        known = self._known.get(query)
        if known is not None:
            self._known.move_to_end(query)
            return known
        found = self._read(query)
        if isinstance(found, DocumentNode) and len(query) <= LONGEST_REMEMBERED:
            self._known[query] = found
            if len(self._known) > REMEMBERED_DOCUMENTS:
                self._known.popitem(last=False)
        return found

    def _read(self, query: str) -> DocumentNode | Sequence[GraphQLError]:
        try:
            document = parse(query, max_tokens=self._tokens)
        except GraphQLSyntaxError as error:
            return [_with_code(error, _syntax_code(error))]
        try:
            wrong = validate(self._schema, document, RULES, max_errors=MOST_VALIDATION_ERRORS)
        except RecursionError:
            return [too_deep()]
        return [_with_code(error, "GRAPHQL_VALIDATION_FAILED") for error in wrong] or document


def _with_code(error: GraphQLError, code: str) -> GraphQLError:
    """The error with a code; scalars that refuse a literal may have given their own."""
    known = (error.extensions or {}).get("code", code)
    return GraphQLError(error.message, error.nodes, error.source, error.positions, extensions={"code": known})


def _syntax_code(error: GraphQLSyntaxError) -> str:
    if "more than" in error.message and "tokens" in error.message:
        return "TOO_MANY_TOKENS"
    return "TOO_DEEP" if "nested too deeply" in error.message else "GRAPHQL_PARSE_FAILED"
