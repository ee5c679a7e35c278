"""The ``gateway`` command."""

import sys

import typer

from gateway.commands.administration import key_commands, migrate_command, schema_command, tenant_commands
from gateway.commands.common import CommandError, errors
from gateway.commands.demonstration import demo_command
from gateway.commands.exchange_rates import rate_commands
from gateway.commands.importing import import_command
from gateway.commands.serving import serve
from gateway.commands.upkeep import rebuild_command, verify_command
from gateway.memory import give_memory_back, spare_the_collector
from gateway.postgres_server import EmbeddedPostgresError
from gateway.server import ServerError
from gateway.settings import SettingsError
from resolvers.errors import GatewayError

app = typer.Typer(
    name="gateway",
    help="One GraphQL endpoint over what your product, people and AI earn.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command("demo")(demo_command)
app.command("migrate")(migrate_command)
app.command("import")(import_command)
app.command("rebuild")(rebuild_command)
app.command("verify")(verify_command)
app.add_typer(key_commands, name="keys")
app.add_typer(tenant_commands, name="tenants")
app.add_typer(rate_commands, name="rates")
app.command("schema")(schema_command)


def main() -> None:
    """Run the command line; a failure that a person can act on is one sentence on standard error and exit code 1."""
    spare_the_collector()
    give_memory_back()
    try:
        app()
    except (CommandError, EmbeddedPostgresError, GatewayError, ServerError, SettingsError) as error:
        errors.print("gateway:", style="red", end=" ")
        errors.print(str(error), soft_wrap=True)
        sys.exit(1)
