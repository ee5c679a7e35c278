"""Links by which a browser downloads an export without sending a key."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated

import strawberry
from graphql import GraphQLSchema, OperationDefinitionNode, parse, validate
from graphql.execution.values import get_variable_values
from strawberry.scalars import JSON
from strawberry.schema.schema_converter import GraphQLCoreConverter

from resolvers.context import Role
from resolvers.errors import BadInput
from resolvers.export_links import LIFETIME, ExportLink
from schema.access import Info, Needs, field
from schema.errors import Forbidden, InvalidInput, NotFound, Overloaded, Unauthenticated
from schema.export_questions import ExportQuestion, export_question, query_field
from schema.shapes import enumerate_in_schema


class ExportFormat(Enum):
    CSV = "csv"
    JSON = "json"
    NDJSON = "ndjson"


enumerate_in_schema(
    ExportFormat,
    "How an export is written.",
    {
        "CSV": "Comma-separated values with a line of headings. Texts that a spreadsheet would compute begin with an "
        "apostrophe.",
        "JSON": "The answer as GraphQL gives it, or an array of a table's rows.",
        "NDJSON": "A line of JSON for each row of a table.",
    },
)


@strawberry.input(description="What to make a link to.")
class ExportLinkInput:
    field: str = strawberry.field(description="A field of `Query`: an analysis or a list, e.g. `funnel` or `events`.")
    arguments: JSON | None = strawberry.field(
        default=None,
        description="Its arguments as a JSON object, the same as in a query; without `first` and `after` for a list.",
    )
    format: ExportFormat = strawberry.field(default=ExportFormat.CSV, description="How it is written.")
    table: str | None = strawberry.field(
        default=None,
        description="Which of the answer's tables, e.g. `steps` or `groups.series`; where absent the one that it is "
        "about, as JSON the whole answer.",
    )


@strawberry.type(description="A link to an export.")
class ExportLinkPayload:
    url: str = strawberry.field(
        description="Where the file is, below the gateway's own address. Whoever has it may open it."
    )
    expires_at: datetime = strawberry.field(
        description="Until when it may be opened: 15 minutes, and not after its key is revoked."
    )
    tables: list[str] = strawberry.field(description="The tables that the answer has.")


ExportLinkResult = Annotated[
    ExportLinkPayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("ExportLinkResult", description="The link, or why there is none."),
]


@strawberry.type
class ExportMutation:
    @field(
        Role.VIEWER,
        ExportLinkResult,
        "A link that downloads an answer as a file, for a browser that can send no key. It opens what the key may see "
        "now, and lists of people only for analysts.",
    )
    async def export_link(
        self,
        info: Info,
        input: Annotated[ExportLinkInput, strawberry.argument(description="What to make a link to.")],
    ) -> ExportLinkPayload:
        given: object = input.arguments if input.arguments is not None else {}
        if not isinstance(given, Mapping):
            raise BadInput("arguments must be a JSON object.", field="arguments")
        whole = input.format is ExportFormat.JSON
        question = export_question(_schema(info), input.field, given, input.table, whole=whole)
        _check(info, question)
        principal = info.context.require(question.needs)
        expires = int((info.context.services.now() + LIFETIME).timestamp())
        link = ExportLink(
            principal.tenant_id,
            principal.key_id,
            int(principal.role),
            expires,
            input.field,
            input.format.value,
            input.table,
            dict(given),
        )
        return ExportLinkPayload(
            url=f"/export/{input.field}.{input.format.value}?link={info.context.services.links.seal(link)}",
            expires_at=datetime.fromtimestamp(expires, UTC),
            tables=list(question.tables),
        )


def _schema(info: Info) -> GraphQLSchema:
    """The schema that is asked: it says what there is to export, and cannot be imported here."""
    return info._raw_info.schema


def _check(info: Info, question: ExportQuestion) -> None:
    """Raise Forbidden where the key's role does not reach the field, BadInput for arguments that it cannot take."""
    schema = _schema(info)
    definition = query_field(schema, question.field)
    assert definition is not None
    for extension in definition.extensions[GraphQLCoreConverter.DEFINITION_BACKREF].extensions:
        if isinstance(extension, Needs):
            info.context.require(extension.role)
    document = parse(question.query)
    if errors := validate(schema, document, max_errors=1):
        raise BadInput(errors[0].message, field="arguments")
    (operation,) = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    variables = {**question.variables, **({"first": 1} if question.paged else {})}
    found = get_variable_values(schema, operation.variable_definitions or (), variables, max_errors=1)
    if isinstance(found, list):
        raise BadInput(found[0].message, field="arguments")
