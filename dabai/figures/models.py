"""Derived figures: leaf cells that the worker recomputes, and bulletins frozen when published."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import CompositePrimaryKey


class AreaCell(models.Model):
    """People by roster area and hour of their first sample (the epoch for measures without an hour). Additive."""

    pk = CompositePrimaryKey("district", "round", "area", "hour")
    district = models.IntegerField()
    round = models.IntegerField()
    area = models.CharField(max_length=14)
    hour = models.DateTimeField()
    frozen = models.IntegerField(default=0)
    added = models.IntegerField(default=0)
    removed = models.IntegerField(default=0)
    excused = models.IntegerField(default=0)
    sampled = models.IntegerField(default=0)
    resulted = models.IntegerField(default=0)
    negative = models.IntegerField(default=0)
    pending = models.IntegerField(default=0)
    positive = models.IntegerField(default=0)
    unlisted = models.IntegerField(
        default=0, help_text="Sampled people who are on no roster, at the place of sampling."
    )
    unlisted_resulted = models.IntegerField(default=0)
    unlisted_negative = models.IntegerField(default=0)
    unlisted_pending = models.IntegerField(default=0)
    unlisted_positive = models.IntegerField(default=0)

    class Meta:
        db_table = "figures_area_cell"


class SiteCell(models.Model):
    """Events by point and hour of the tube's first sample. Additive."""

    pk = CompositePrimaryKey("district", "round", "site", "hour")
    district = models.IntegerField()
    round = models.IntegerField()
    site = models.IntegerField()
    hour = models.DateTimeField()
    samples = models.IntegerField(default=0)
    tubes = models.IntegerField(default=0)
    sealed = models.IntegerField(default=0)
    packed = models.IntegerField(default=0)
    handed = models.IntegerField(default=0)
    received = models.IntegerField(default=0)
    on_time = models.IntegerField(default=0)
    read = models.IntegerField(default=0)
    released = models.IntegerField(default=0)
    not_negative = models.IntegerField(default=0)
    voided = models.IntegerField(default=0)
    rejected = models.IntegerField(default=0)
    contested = models.IntegerField(default=0)
    open_minutes = models.IntegerField(default=0)
    boxed = models.IntegerField(default=0, help_text="Tubes recorded in boxes that were counted when sealed.")
    boxed_counted = models.IntegerField(default=0, help_text="Tubes counted in those boxes.")
    delivered = models.IntegerField(default=0, help_text="Tubes recorded in boxes that a laboratory counted.")
    delivered_counted = models.IntegerField(default=0, help_text="Tubes counted in those boxes.")

    class Meta:
        db_table = "figures_site_cell"


class DurationCell(models.Model):
    """How long tubes took, by point and hour: whole minutes of each tube, sorted. Additive: cells are put together.

    A histogram by minute with one row for each bar was measured at seven times the cost: a point hardly ever has two
    tubes with the same minutes in one hour.
    """

    pk = CompositePrimaryKey("district", "round", "site", "hour")
    district = models.IntegerField()
    round = models.IntegerField()
    site = models.IntegerField()
    hour = models.DateTimeField()
    sample_to_receipt = ArrayField(models.SmallIntegerField(), default=list)
    receipt_to_result = ArrayField(models.SmallIntegerField(), default=list)
    sample_to_result = ArrayField(models.SmallIntegerField(), default=list)

    class Meta:
        db_table = "figures_duration_cell"


class Freshness(models.Model):
    """Up to when the cells of a district hold everything that was received. Written while the worker is busy."""

    district = models.IntegerField(primary_key=True)
    as_of = models.DateTimeField()

    class Meta:
        db_table = "figures_freshness"


class BulletinState(models.TextChoices):
    """A proposed issue may be refreshed or thrown away; a published one never changes."""

    PROPOSED = "proposed"
    PUBLISHED = "published"


class Bulletin(models.Model):
    """A bulletin of a round or of the operation to date. Published ones are frozen; a correction is a new issue."""

    operation = models.IntegerField()
    round = models.IntegerField(null=True, help_text="Empty: to date.")
    issue = models.IntegerField()
    corrects = models.IntegerField(null=True, help_text="Id of the issue that this one corrects.")
    cut_off = models.DateTimeField()
    figures = models.JSONField(help_text="Figure id to value, as frozen.")
    changes = models.JSONField(default=list)
    text_zh = models.TextField()
    text_en = models.TextField()
    html_zh = models.TextField(default="")
    html_en = models.TextField(default="")
    comment = models.TextField(blank=True, help_text="Left for a person to write.")
    state = models.CharField(max_length=10, choices=BulletinState.choices, default=BulletinState.PROPOSED)
    made_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)
    published_by = models.IntegerField(null=True)

    class Meta:
        db_table = "figures_bulletin"
        constraints = [
            models.UniqueConstraint(
                fields=["operation", "round", "issue"], nulls_distinct=False, name="bulletin_issue"
            ),
            models.UniqueConstraint(
                fields=["operation", "round"],
                condition=models.Q(state=BulletinState.PROPOSED),
                nulls_distinct=False,
                name="bulletin_one_proposed",
            ),
        ]
