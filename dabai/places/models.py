"""Where things happen: areas as a code tree, and sites with their stations."""

from django.db import models


class Area(models.Model):
    """A district, street, community or grid. The code says where it lies (``dabai.kernel.areas``)."""

    code = models.CharField(max_length=14, primary_key=True)
    name = models.CharField(max_length=80)
    level = models.CharField(max_length=12)
    active = models.BooleanField(default=True)
    longitude = models.FloatField(null=True)
    latitude = models.FloatField(null=True)

    class Meta:
        db_table = "places_area"


class Boundary(models.Model):
    """The outline of an area as GeoJSON geometry, for maps."""

    area = models.OneToOneField(Area, models.CASCADE, primary_key=True)
    geometry = models.JSONField()

    class Meta:
        db_table = "places_boundary"


class SiteKind(models.TextChoices):
    """What a site is for."""

    SAMPLING_POINT = "sampling_point"
    CHECKPOINT = "checkpoint"
    LABORATORY = "laboratory"
    QUARANTINE_SITE = "quarantine_site"
    INSTITUTION = "institution"
    DOOR_TEAM = "door_team"


class Site(models.Model):
    """A place of work in one operation. A door-to-door team is a site without an address."""

    operation = models.IntegerField()
    code = models.CharField(max_length=24)
    kind = models.CharField(max_length=20, choices=SiteKind.choices)
    name = models.CharField(max_length=80)
    area = models.CharField(max_length=14)
    address = models.CharField(max_length=160, blank=True)
    longitude = models.FloatField(null=True)
    latitude = models.FloatField(null=True)
    active = models.BooleanField(default=True)

    class Meta:
        db_table = "places_site"
        constraints = [models.UniqueConstraint(fields=["operation", "code"], name="site_code")]


class Station(models.Model):
    """A sampling station (采样台) of a site, numbered from 1."""

    site = models.ForeignKey(Site, models.CASCADE, related_name="stations")
    number = models.SmallIntegerField()
    name = models.CharField(max_length=40, blank=True)
    active = models.BooleanField(default=True)

    class Meta:
        db_table = "places_station"
        constraints = [models.UniqueConstraint(fields=["site", "number"], name="station_number")]
