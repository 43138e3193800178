"""Households and residents of an operation, what was corrected, who is the same person, and staged imports.

Name, number, phone and address detail are encrypted per row; blind tokens find them (``dabai.access.keys``). The clear
columns are those that lists sort, filter and page by.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import CompositePrimaryKey


class Household(models.Model):
    """People who live behind one door, or a collective (dormitory, care home). Room and detail are encrypted."""

    pk = CompositePrimaryKey("district", "id")
    district = models.IntegerField()
    id = models.UUIDField()
    operation = models.IntegerField()
    area = models.CharField(max_length=14)
    estate = models.CharField(max_length=60, blank=True)
    building = models.CharField(max_length=30, blank=True)
    unit = models.CharField(max_length=20, blank=True)
    collective = models.BooleanField(default=False)
    sealed = models.BooleanField(
        default=False, help_text="Sealed to the household: one household, one tube (一户一管)."
    )
    key = models.SmallIntegerField()
    address_enc = models.BinaryField(null=True)
    address_token = models.BinaryField(null=True)

    class Meta:
        db_table = "people_household"
        indexes = [
            models.Index(fields=["district", "operation", "area", "building"], name="household_area"),
            models.Index(fields=["district", "address_token"], name="household_token"),
        ]


class Person(models.Model):
    """A resident on a list, or somebody registered on the spot (then ``id`` is the id of that fact)."""

    pk = CompositePrimaryKey("district", "id")
    district = models.IntegerField()
    id = models.UUIDField()
    operation = models.IntegerField()
    household = models.UUIDField(null=True)
    area = models.CharField(
        max_length=14, help_text="Grid or community of residence; place of registration if unknown."
    )
    building = models.CharField(max_length=30, blank=True)
    spot = models.BooleanField(default=False, help_text="Registered on the spot by a fact.")
    document_kind = models.CharField(max_length=4)
    sex = models.SmallIntegerField(default=0, help_text="GB/T 2261.1: 0 unknown, 1 male, 2 female, 9 unspecified.")
    birth_year = models.SmallIntegerField(null=True)
    group = models.CharField(max_length=24, blank=True, help_text="Key group code, empty for none.")
    away = models.BooleanField(default=False, help_text="Moved away or died: on no new roster.")
    doubt = models.CharField(
        max_length=40, blank=True, db_default="", help_text="Why the number is not sure (``people.rules``), or empty."
    )
    key = models.SmallIntegerField()
    name_enc = models.BinaryField()
    number_enc = models.BinaryField(null=True)
    phone_enc = models.BinaryField(null=True)
    address_enc = models.BinaryField(null=True)
    name_token = models.BinaryField()
    number_token = models.BinaryField(null=True)
    tail_token = models.BinaryField(null=True, help_text="Last four of the number together with the community.")
    phone_token = models.BinaryField(null=True)

    class Meta:
        db_table = "people_person"
        indexes = [
            models.Index(fields=["district", "operation", "area", "id"], name="person_area"),
            models.Index(fields=["district", "number_token"], name="person_number"),
            models.Index(fields=["district", "name_token"], name="person_name"),
            models.Index(fields=["district", "tail_token"], name="person_tail"),
            models.Index(fields=["district", "phone_token"], name="person_phone"),
            models.Index(fields=["district", "household"], name="person_household"),
        ]


class Correction(models.Model):
    """The typed row of ``people.corrected``: what a desk found to be right. The newest in force wins by field."""

    pk = CompositePrimaryKey("district", "id")
    district = models.IntegerField()
    id = models.UUIDField()
    operation = models.IntegerField()
    person = models.UUIDField()
    key = models.SmallIntegerField()
    document_kind = models.CharField(max_length=4, blank=True)
    name_enc = models.BinaryField(null=True)
    number_enc = models.BinaryField(null=True)
    phone_enc = models.BinaryField(null=True)
    name_token = models.BinaryField(null=True)
    number_token = models.BinaryField(null=True)
    tail_token = models.BinaryField(null=True)
    phone_token = models.BinaryField(null=True)
    reason = models.CharField(max_length=200)
    happened_at = models.DateTimeField()

    class Meta:
        db_table = "people_correction"
        indexes = [
            models.Index(fields=["district", "person"], name="correction_person"),
            models.Index(fields=["district", "number_token"], name="correction_number"),
        ]


class Merge(models.Model):
    """The typed row of ``people.merged``: two ids are one person. Withdrawn by ``people.unmerged``."""

    pk = CompositePrimaryKey("district", "id")
    district = models.IntegerField()
    id = models.UUIDField()
    operation = models.IntegerField()
    one = models.UUIDField()
    other = models.UUIDField()
    facts = ArrayField(models.UUIDField(), db_default=[], help_text="Facts that the decision was taken on.")
    reason = models.CharField(max_length=200)
    happened_at = models.DateTimeField()

    class Meta:
        db_table = "people_merge"
        indexes = [
            models.Index(fields=["district", "one"], name="merge_one"),
            models.Index(fields=["district", "other"], name="merge_other"),
        ]


class Identity(models.Model):
    """Derived: ids that are the same person, with the canonical one (the smallest). Only groups of two or more."""

    pk = CompositePrimaryKey("district", "person")
    district = models.IntegerField()
    person = models.UUIDField()
    operation = models.IntegerField()
    canonical = models.UUIDField()
    name_conflict = models.BooleanField(default=False)

    class Meta:
        db_table = "people_identity"
        indexes = [
            models.Index(fields=["district", "canonical"], name="identity_canonical"),
            models.Index(
                fields=["district", "canonical"], condition=models.Q(name_conflict=True), name="identity_conflict"
            ),
        ]


class ImportState(models.TextChoices):
    """A staged change set: read, reviewed, then committed or thrown away."""

    READING = "reading"
    STAGED = "staged"
    COMMITTING = "committing"
    COMMITTED = "committed"
    DISCARDED = "discarded"
    FAILED = "failed"


class Import(models.Model):
    """One uploaded list. ``purpose`` is ``residents`` or ``cross_list`` (hotel, firm, site: matched, not added)."""

    operation = models.IntegerField()
    district = models.IntegerField()
    purpose = models.CharField(max_length=16)
    label = models.CharField(max_length=80)
    file_name = models.CharField(max_length=120)
    file_digest = models.BinaryField()
    stored_path = models.CharField(max_length=200, blank=True)
    area = models.CharField(max_length=14)
    mapping = models.JSONField(default=dict)
    state = models.CharField(max_length=12, choices=ImportState.choices)
    rows_total = models.IntegerField(default=0)
    rows_done = models.IntegerField(default=0)
    counts = models.JSONField(default=dict)
    error = models.JSONField(null=True)
    by = models.IntegerField(null=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "people_import"


class StagedRow(models.Model):
    """One row of a staged import: what would become of it and why. Personal columns are encrypted for ``person``.

    ``person`` is the resident's own id where the row is about somebody known, else the id that it will get. The address
    belongs to the household, whose id follows from the address (``dabai.people.rows``), and is encrypted for that.
    """

    pk = CompositePrimaryKey("district", "batch", "number")
    district = models.IntegerField()
    batch = models.IntegerField()
    number = models.IntegerField(help_text="Row number in the file, header = 1.")
    outcome = models.CharField(max_length=10, help_text="added, changed, same, doubled, refused.")
    reason = models.JSONField(null=True)
    person = models.UUIDField()
    existing = models.UUIDField(null=True)
    household = models.UUIDField(null=True)
    area = models.CharField(max_length=14, blank=True)
    estate = models.CharField(max_length=60, blank=True)
    building = models.CharField(max_length=30, blank=True)
    unit = models.CharField(max_length=20, blank=True)
    document_kind = models.CharField(max_length=4, blank=True)
    sex = models.SmallIntegerField(default=0)
    birth_year = models.SmallIntegerField(null=True)
    group = models.CharField(max_length=24, blank=True)
    doubt = models.CharField(max_length=40, blank=True, db_default="")
    collective = models.BooleanField(db_default=False)
    key = models.SmallIntegerField()
    name_enc = models.BinaryField(null=True)
    number_enc = models.BinaryField(null=True)
    phone_enc = models.BinaryField(null=True)
    address_enc = models.BinaryField(null=True)
    name_token = models.BinaryField(null=True)
    number_token = models.BinaryField(null=True)
    tail_token = models.BinaryField(null=True)
    phone_token = models.BinaryField(null=True)
    address_token = models.BinaryField(null=True)

    class Meta:
        db_table = "people_staged_row"
        indexes = [
            models.Index(
                fields=["district", "batch", "outcome", "number"],
                condition=~models.Q(outcome="added"),
                name="staged_outcome",
            )
        ]


class ListedPerson(models.Model):
    """A committed row of a cross list: somebody named by a hotel, firm or site, and whom it matched on the roster."""

    pk = CompositePrimaryKey("district", "id")
    district = models.IntegerField()
    id = models.UUIDField()
    operation = models.IntegerField()
    batch = models.IntegerField()
    area = models.CharField(max_length=14)
    key = models.SmallIntegerField()
    name_enc = models.BinaryField()
    number_enc = models.BinaryField(null=True)
    phone_enc = models.BinaryField(null=True)
    name_token = models.BinaryField()
    number_token = models.BinaryField(null=True)
    phone_token = models.BinaryField(null=True)

    class Meta:
        db_table = "people_listed"
        indexes = [models.Index(fields=["district", "number_token"], name="listed_number")]
