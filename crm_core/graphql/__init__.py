"""The GraphQL toolkit: fields declared once as SQL, from which the schema, the reads and the filters follow."""

from crm_core.graphql.fields import (
    Filter,
    Id,
    Mask,
    ObjectType,
    Source,
    batch,
    connection,
    field,
    listing,
    query_connection,
    query_one,
    record_fields,
    relation,
    whole,
)

__all__ = [
    "Filter",
    "Id",
    "Mask",
    "ObjectType",
    "Source",
    "batch",
    "connection",
    "field",
    "listing",
    "query_connection",
    "query_one",
    "record_fields",
    "relation",
    "whole",
]
