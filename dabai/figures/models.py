"""Derived figures: leaf cells that the worker recomputes, and bulletins frozen when published."""

from django.db import models
from django.db.models import CompositePrimaryKey


class AreaCell(models.Model):
    """People by roster area and hour of their first sample (``hour`` = epoch for measures without an hour). Additive."""

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
    unlisted = models.IntegerField(default=0, help_text="Sampled people who are on no roster, at the place of sampling.")

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

    class Meta:
        db_table = "figures_site_cell"


class DurationCell(models.Model):
    """Histogram by minute of a duration (sample→receipt, receipt→result, sample→result), by point and hour. Additive."""

    pk = CompositePrimaryKey("district", "round", "site", "hour", "measure", "minute")
    district = models.IntegerField()
    round = models.IntegerField()
    site = models.IntegerField()
    hour = models.DateTimeField()
    measure = models.CharField(max_length=20)
    minute = models.SmallIntegerField()
    tubes = models.IntegerField(default=0)

    class Meta:
        db_table = "figures_duration_cell"


class Bulletin(models.Model):
    """A bulletin of a round or of the district to date. Published ones are frozen; a correction is a new issue."""

    operation = models.IntegerField()
    round = models.IntegerField(null=True, help_text="Empty: the district to date.")
    issue = models.IntegerField()
    corrects = models.IntegerField(null=True, help_text="Id of the issue that this one corrects.")
    cut_off = models.DateTimeField()
    figures = models.JSONField(help_text="Figure id to value, as frozen.")
    changes = models.JSONField(default=list)
    text_zh = models.TextField()
    text_en = models.TextField()
    comment = models.TextField(blank=True, help_text="Left for a person to write.")
    state = models.CharField(max_length=10, default="proposed")
    made_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)
    published_by = models.IntegerField(null=True)

    class Meta:
        db_table = "figures_bulletin"
        constraints = [models.UniqueConstraint(fields=["operation", "round", "issue"], nulls_distinct=False, name="bulletin_issue")]
