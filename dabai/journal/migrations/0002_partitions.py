"""The journal is partitioned by ranges of its UUIDv7 id, with a DEFAULT partition, and numbered by sequences."""

from django.db import migrations

FORWARD = """
ALTER TABLE journal_entry RENAME TO journal_entry_plain;
CREATE TABLE journal_entry (LIKE journal_entry_plain INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY RANGE (id);
DROP TABLE journal_entry_plain;
ALTER TABLE journal_entry ADD CONSTRAINT journal_entry_pkey PRIMARY KEY (district, id);
CREATE INDEX entry_seq ON journal_entry (district, seq);
CREATE TABLE journal_entry_rest PARTITION OF journal_entry DEFAULT;
CREATE SEQUENCE journal_seq;
CREATE SEQUENCE journal_mark_seq;
ALTER TABLE journal_mark ALTER COLUMN id SET DEFAULT nextval('journal_mark_seq');
"""
BACKWARD = """
ALTER TABLE journal_mark ALTER COLUMN id DROP DEFAULT;
DROP SEQUENCE journal_mark_seq;
DROP SEQUENCE journal_seq;
"""


class Migration(migrations.Migration):
    dependencies = [("journal", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
