"""Commands on accounts: users added, API tokens made, listed and revoked."""

from datetime import datetime

import click

from catalog import accounts, tokens
from catalog.commands import opened
from catalog.schema import ApiToken, Role, Scope, utc_now
from catalog.settings import load_settings


@click.group("user")
def user_group() -> None:
    """Add users."""


@user_group.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.password_option(help="Asked for when it is not given.")
def user_add(name: str, role: str, password: str) -> None:
    """Add a user called NAME."""
    with opened(load_settings()).writing() as session:
        accounts.create_user(session, name=name, role=Role(role), password=password)
    click.echo(f"{name} can log in as {role}")


@click.group("token")
def token_group() -> None:
    """Make, list and revoke the tokens with which scripts call the REST API."""


@token_group.command("create")
@click.argument("user")
@click.option("--name", required=True, help="What will use it, such as the name of a script.")
@click.option(
    "--scope", type=click.Choice([scope.value for scope in Scope]), default="read", show_default=True
)
@click.option("--days", type=click.IntRange(1, tokens.LONGEST), default=90, show_default=True)
def token_create(user: str, name: str, scope: str, days: int) -> None:
    """Make a token with the rights of USER. Nothing but the token goes to the standard output."""
    with opened(load_settings()).writing() as session:
        owner = accounts.by_name(session, user)
        token, secret = tokens.create(session, owner, name=name, scope=Scope(scope), days=days)
    click.echo(secret)
    click.echo(
        f"token {token.id} of {owner.name} may {scope} until {_day(token.expires_at)}; it is not shown again",
        err=True,
    )


@token_group.command("list")
@click.argument("user")
def token_list(user: str) -> None:
    """List the tokens of USER, newest first."""
    with opened(load_settings()).reading() as session:
        owner, after = accounts.by_name(session, user), None
        while True:
            page = tokens.of_user(session, owner, after=after)
            for token in page.rows:
                click.echo(_described(token))
            if (after := page.after) is None:
                return


@token_group.command("revoke")
@click.argument("token_id", metavar="ID", type=int)
def token_revoke(token_id: int) -> None:
    """End a token; `recaption token list` shows its ID."""
    with opened(load_settings()).writing() as session:
        token = tokens.revoke(session, token_id, user=None)
    click.echo(f"token {token.id} of {token.user.name}, {token.name!r}, is revoked")


def _described(token: ApiToken) -> str:
    ends = "expired" if token.expires_at <= utc_now() else "expires"
    used = f"last used {_day(token.last_used_at)}" if token.last_used_at else "never used"
    return f"{token.id:>6}  {token.scope:<5}  {ends} {_day(token.expires_at)}, {used}  {token.name}"


def _day(when: datetime) -> str:
    return f"{when:%Y-%m-%d}"
