"""What the tables promise: large ones can be spread over machines, and the database is what the models say."""

from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, models

pytestmark = pytest.mark.django_db
OWN = [model for model in apps.get_models() if model.__module__.startswith("dabai.")]
LARGE = [model for model in OWN if isinstance(model._meta.pk, models.CompositePrimaryKey)]
# Facts and what is derived from them; whoever adds a table of facts adds it to the large ones by its key.
FACTS = {"journal", "people", "testing", "figures"}
SMALL = {"Import", "Bulletin", "Freshness", "Round", "RoundStep", "RoundSite", "RoundEstimate"}
SMALL |= {"ResultFile", "ColumnMapping", "ProvinceExport"}
BY_HAND = {
    "journal_entry": "p",
    "testing_sample": "p",
    "journal_entry_rest": "r",
    "testing_sample_rest": "r",
}
ALIASES = {"varchar": "character varying", "numeric": "numeric", "char": "character"}


def named(found: list[type[models.Model]]) -> Any:
    return pytest.mark.parametrize("model", found, ids=[model.__name__ for model in found])


def columns_of(fields: Any) -> list[str]:
    return [field.column for field in fields]


def key_of(model: type[models.Model]) -> list[str]:
    pk = model._meta.pk
    return columns_of(pk.fields) if isinstance(pk, models.CompositePrimaryKey) else [pk.column]


def named_columns(model: type[models.Model], names: Any) -> list[str]:
    return [model._meta.get_field(name.removeprefix("-")).column for name in names]


def unique_keys(model: type[models.Model]) -> list[list[str]]:
    """The columns of every unique key that the model declares."""
    single = [[field.column] for field in model._meta.local_fields if field.unique and not field.primary_key]
    declared = [one for one in model._meta.constraints if isinstance(one, models.UniqueConstraint)]
    return [key_of(model), *single, *(named_columns(model, one.fields) for one in declared)]


@named(LARGE)
def test_a_large_table_can_be_spread_by_district(model: type[models.Model]) -> None:
    assert all("district" in key for key in unique_keys(model))
    assert isinstance(model._meta.get_field("district"), models.IntegerField)


@named(LARGE)
def test_a_large_table_has_no_foreign_keys_to_or_from_it(model: type[models.Model]) -> None:
    assert [field.name for field in model._meta.get_fields(include_hidden=True) if field.is_relation] == []


@named([model for model in OWN if model._meta.app_label in FACTS])
def test_a_table_of_facts_is_large_unless_it_is_known_to_be_small(model: type[models.Model]) -> None:
    assert (model in LARGE) is (model.__name__ not in SMALL)


# ---- the catalogue


def catalogue(table: str) -> dict[str, tuple[str, bool]]:
    """Column to (type as PostgreSQL writes it, NOT NULL)."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
               WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped""",
            [f'"{table}"'],
        )
        return {name: (kind, needed) for name, kind, needed in cursor.fetchall()}


def declared(model: type[models.Model]) -> dict[str, tuple[str, bool]]:
    """The same, as the model has it."""
    fields = [field for field in model._meta.local_concrete_fields if field.column]
    return {field.column: (type_of(field), not field.null) for field in fields}


def type_of(field: Any) -> str:
    text = field.db_type(connection) or ""
    head, bracket, rest = text.partition("(")
    return ALIASES.get(head, head) + bracket + rest


@named(OWN)
def test_the_columns_are_the_models(model: type[models.Model]) -> None:
    assert catalogue(model._meta.db_table) == declared(model)


def keys_in_database(model: type[models.Model]) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
    """Columns of unique keys, and of plain indexes. Django's own ``_like`` twins of text keys are left out."""
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, model._meta.db_table)
    indexes = {name: one for name, one in found.items() if one["index"] or one["unique"] or one["primary_key"]}
    unique = {tuple(one["columns"]) for one in indexes.values() if one["unique"]}
    plain = {tuple(o["columns"]) for n, o in indexes.items() if not o["unique"] and not n.endswith("_like")}
    return unique, plain


@named(OWN)
def test_the_indexes_are_the_models(model: type[models.Model]) -> None:
    unique, plain = keys_in_database(model)
    assert unique == {tuple(key) for key in unique_keys(model)}
    fields = [field for field in model._meta.local_fields if field.db_index and not field.unique]
    wanted = {tuple(named_columns(model, index.fields)) for index in model._meta.indexes}
    assert plain == wanted | {(field.column,) for field in fields}


def kinds_of_tables() -> dict[str, str]:
    """Every table of ours that is partitioned, or a part of one: name to relkind."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT relname, relkind FROM pg_class
               WHERE relnamespace = 'public'::regnamespace AND relkind IN ('p', 'r')
                 AND (relkind = 'p' OR relispartition)"""
        )
        return dict(cursor.fetchall())


def test_the_tables_written_by_hand_are_known() -> None:
    assert kinds_of_tables() == BY_HAND


@pytest.mark.parametrize("table", [name for name, kind in BY_HAND.items() if kind == "p"])
def test_intake_never_waits_for_a_partition(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
               WHERE i.inhparent = %s::regclass AND pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT'""",
            [table],
        )
        assert cursor.fetchone() == (1,)


def test_every_change_of_a_model_has_its_migration() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_migrations_have_names_that_say_something() -> None:
    from django.db.migrations.loader import MigrationLoader

    own = {app.label for app in apps.get_app_configs() if app.name.startswith("dabai.")}
    names = [name for app, name in MigrationLoader(connection).disk_migrations if app in own]
    assert [name for name in names if "_auto_" in name or name.endswith(("_squashed", "_more"))] == []
