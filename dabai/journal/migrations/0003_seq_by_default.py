"""``seq`` is numbered by the database as rows are written, so that COPY can leave it out."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("journal", "0002_partitions")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE journal_entry ALTER COLUMN seq SET DEFAULT nextval('journal_seq')",
            "ALTER TABLE journal_entry ALTER COLUMN seq DROP DEFAULT",
        )
    ]
