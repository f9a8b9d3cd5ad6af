"""Documents that differ in literals alone are one document: it is parsed, validated and planned once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from graphql import (
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    StringValueNode,
    TypeInfo,
    TypeInfoVisitor,
    Undefined,
    ValueNode,
    VariableDefinitionNode,
    Visitor,
    get_nullable_type,
    is_list_type,
    value_from_ast,
    visit,
)

from crm_core.graphql.documents import LONGEST_REMEMBERED, Documents
from crm_core.graphql.lifting import FLOAT, INT, Literal, lift

REMEMBERED_TEXTS: Final = 2_000
REMEMBERED_FORMS: Final = 500
MOST_VARIANTS: Final = 20
_SIZES: Final = ("first", "last")


@dataclass(frozen=True, slots=True)
class Text:
    """What a client sent, read: a valid document, and the values of those literals that stand open in it.

    `places` maps where a literal stands in the document to its value in `values`. The document may be another
    client's, with other literals; `exact` gives the one that was sent.
    """

    document: DocumentNode
    exact: Callable[[], DocumentNode]
    places: Mapping[int, int] = field(default_factory=dict)
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class _Open:
    """A literal that may differ: which one of the document it is, and what type is expected there."""

    position: int
    type: Any


@dataclass(frozen=True, slots=True)
class _Variant:
    """A document for all texts of its form with the same fixed literals."""

    document: DocumentNode
    fixed: Mapping[int, str]
    opened: tuple[_Open, ...]
    places: Mapping[int, int]

    def values(self, literals: Sequence[Literal]) -> tuple[Any, ...] | None:
        """The values of the open literals; None when this document is not for these."""
        if any(literals[position].raw != raw for position, raw in self.fixed.items()):
            return None
        values = [value_from_ast(_node(literals[one.position]), one.type) for one in self.opened]
        return None if any(value is Undefined for value in values) else tuple(values)


class Sharing:
    """Reads documents; remembers each text, and each form with its literals left out."""

    def __init__(self, schema: GraphQLSchema, documents: Documents) -> None:
        """`documents` parses and validates."""
        self._schema, self._documents = schema, documents
        self._texts: OrderedDict[str, Text] = OrderedDict()
        self._forms: OrderedDict[str, list[_Variant]] = OrderedDict()

    def read(self, query: str) -> Text | Sequence[GraphQLError]:
        """The document of a text, or what is wrong with it."""
        known = self._texts.get(query)
        if known is not None:
            self._texts.move_to_end(query)
            return known
        if len(query) > LONGEST_REMEMBERED:
            return self._exact(query)
        form, literals = lift(query)
        found = self._shared(query, form, literals) or self._own(query, form, literals)
        if isinstance(found, Text):
            _remember(self._texts, query, found, REMEMBERED_TEXTS)
        return found

    def _shared(self, query: str, form: str, literals: Sequence[Literal]) -> Text | None:
        for variant in self._forms.get(form, ()):
            values = variant.values(literals)
            if values is not None:
                self._forms.move_to_end(form)
                return Text(variant.document, lambda: self._parsed(query), variant.places, values)
        return None

    def _own(self, query: str, form: str, literals: Sequence[Literal]) -> Text | Sequence[GraphQLError]:
        found = self._documents.read(query)
        if not isinstance(found, DocumentNode):
            return found
        variant = _variant(self._schema, found, literals)
        values = variant.values(literals) if variant else None
        if variant is None or values is None:
            return Text(found, lambda: found)
        variants = self._forms.get(form, [])[: MOST_VARIANTS - 1]
        _remember(self._forms, form, [variant, *variants], REMEMBERED_FORMS)
        return Text(found, lambda: found, variant.places, values)

    def _exact(self, query: str) -> Text | Sequence[GraphQLError]:
        found = self._documents.read(query)
        return Text(found, lambda: found) if isinstance(found, DocumentNode) else found

    def _parsed(self, query: str) -> DocumentNode:
        found = self._documents.read(query)
        assert isinstance(found, DocumentNode), "a text is valid when the one it shares a document with is"
        return found


def _single(type_: Any) -> Any:
    """The type of one value, where a list is expected and may be given as its only item."""
    plain = get_nullable_type(type_) if type_ is not None else None
    return _single(plain.of_type) if is_list_type(plain) else type_


def _remember(known: OrderedDict[str, Any], key: str, value: Any, most: int) -> None:
    known[key] = value
    if len(known) > most:
        known.popitem(last=False)


def _node(literal: Literal) -> ValueNode:
    if literal.kind == INT:
        return IntValueNode(value=literal.raw)
    return (
        FloatValueNode(value=literal.raw)
        if literal.kind == FLOAT
        else StringValueNode(value=str(literal.value))
    )


def _variant(schema: GraphQLSchema, document: DocumentNode, literals: Sequence[Literal]) -> _Variant | None:
    """The document with its literals opened; None where it is no single query of plain fields.

    Fields that are merged must have the same arguments, so documents in which fields could merge are left as they
    are. Page sizes, and literals that are no arguments, stay fixed: they decide cost and form.
    """
    if not any(literals):
        return None
    info = TypeInfo(schema)
    finder = _Finder(info)
    visit(document, TypeInfoVisitor(info, finder))
    if finder.shared_names:
        return None
    at = {literal.start: position for position, literal in enumerate(literals)}
    opened = tuple(_Open(at[start], type_) for start, type_ in finder.opened if start in at)
    places = {start: place for place, (start, _) in enumerate(one for one in finder.opened if one[0] in at)}
    free = {one.position for one in opened}
    fixed = {n: literal.raw for n, literal in enumerate(literals) if n not in free}
    return _Variant(document, fixed, opened, places)


class _Finder(Visitor):
    """Finds the literals of arguments with the types expected of them, and whether fields could merge."""

    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self._info = info
        self._within: list[str] = []
        self._elsewhere = 0
        self.operations = 0
        self.shared_names = False
        self.opened: list[tuple[int, Any]] = []

    def enter_operation_definition(self, node: OperationDefinitionNode, *_more: Any) -> None:
        self.operations += 1
        if self.operations > 1 or node.operation is not OperationType.QUERY:
            self.shared_names = True

    def enter_fragment_definition(self, _node: FragmentDefinitionNode, *_more: Any) -> None:
        self.shared_names = True

    def enter_fragment_spread(self, _node: FragmentSpreadNode, *_more: Any) -> None:
        self.shared_names = True

    def enter_inline_fragment(self, _node: InlineFragmentNode, *_more: Any) -> None:
        self.shared_names = True

    def enter_selection_set(self, node: SelectionSetNode, *_more: Any) -> None:
        names = [(one.alias or one.name).value for one in node.selections if isinstance(one, FieldNode)]
        self.shared_names |= len(names) != len(set(names))

    def enter_variable_definition(self, _node: VariableDefinitionNode, *_more: Any) -> None:
        self._elsewhere += 1

    def leave_variable_definition(self, _node: VariableDefinitionNode, *_more: Any) -> None:
        self._elsewhere -= 1

    def enter_directive(self, _node: DirectiveNode, *_more: Any) -> None:
        self._elsewhere += 1

    def leave_directive(self, _node: DirectiveNode, *_more: Any) -> None:
        self._elsewhere -= 1

    def enter_argument(self, node: ArgumentNode, *_more: Any) -> None:
        self._within.append(node.name.value)

    def leave_argument(self, _node: ArgumentNode, *_more: Any) -> None:
        self._within.pop()

    def _literal(self, node: ValueNode) -> None:
        fixed = self._elsewhere or not self._within or self._within[-1] in _SIZES
        if not fixed and node.loc is not None:
            self.opened.append((node.loc.start, _single(self._info.get_input_type())))

    def enter_int_value(self, node: IntValueNode, *_more: Any) -> None:
        self._literal(node)

    def enter_float_value(self, node: FloatValueNode, *_more: Any) -> None:
        self._literal(node)

    def enter_string_value(self, node: StringValueNode, *_more: Any) -> None:
        self._literal(node)


__all__ = ["Sharing", "Text"]
