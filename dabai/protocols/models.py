"""Disease profiles as versioned data, and operations: one outbreak response or one drill."""

from django.db import models


class Profile(models.Model):
    """One version of a protocol profile (病种方案). ``body`` follows ``dabai.protocols.schema``; a change is a new
    version.
    """

    slug = models.CharField(max_length=40)
    version = models.IntegerField()
    body = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "protocols_profile"
        constraints = [models.UniqueConstraint(fields=["slug", "version"], name="profile_version")]


class OperationKind(models.TextChoices):
    """A drill never counts in the district's figures to date."""

    RESPONSE = "response"
    DRILL = "drill"


class Operation(models.Model):
    """One outbreak response or drill. Rounds, rosters, sites, facts, figures and the data key belong to exactly one."""

    district = models.IntegerField()
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=10, choices=OperationKind.choices)
    profile = models.ForeignKey(Profile, models.PROTECT, related_name="+")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "protocols_operation"
