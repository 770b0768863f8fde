"""Alembic migrations, carried inside the package so that an installed release can migrate."""
