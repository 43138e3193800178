"""Samples are partitioned by round, with a DEFAULT partition, so that intake never waits for a round's DDL."""

from django.db import migrations

FORWARD = """
ALTER TABLE testing_sample RENAME TO testing_sample_plain;
CREATE TABLE testing_sample (LIKE testing_sample_plain INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY LIST (round);
DROP TABLE testing_sample_plain;
ALTER TABLE testing_sample ADD CONSTRAINT testing_sample_pkey PRIMARY KEY (district, id, round);
CREATE INDEX sample_tube ON testing_sample (district, tube);
CREATE INDEX sample_person ON testing_sample (district, person);
CREATE TABLE testing_sample_rest PARTITION OF testing_sample DEFAULT;
"""


class Migration(migrations.Migration):
    dependencies = [("testing", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
