"""Durations lie in one row for each point and hour, not in one for each minute. They are derived: nothing to carry over."""

import django.contrib.postgres.fields
from django.db import migrations, models

MINUTES = {"base_field": models.SmallIntegerField(), "default": list, "size": None}


class Migration(migrations.Migration):
    dependencies = [("figures", "0003_published_issues_never_change")]
    operations = [
        migrations.DeleteModel("DurationCell"),
        migrations.CreateModel(
            name="DurationCell",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "district", "round", "site", "hour",
                        blank=True, editable=False, primary_key=True, serialize=False,
                    ),
                ),
                ("district", models.IntegerField()),
                ("round", models.IntegerField()),
                ("site", models.IntegerField()),
                ("hour", models.DateTimeField()),
                ("sample_to_receipt", django.contrib.postgres.fields.ArrayField(**MINUTES)),
                ("receipt_to_result", django.contrib.postgres.fields.ArrayField(**MINUTES)),
                ("sample_to_result", django.contrib.postgres.fields.ArrayField(**MINUTES)),
            ],
            options={"db_table": "figures_duration_cell"},
        ),
    ]
