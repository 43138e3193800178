"""A round of nucleic acid testing: its frozen roster, the typed rows of every kind of fact, and what is derived from
them.

Typed rows are insert-only, carry no foreign keys and may refer to what is not known yet. ``Tube``, ``Box`` and
``Coverage`` are derived by the worker from the set of facts alone (``dabai.testing.derive``); deleting them loses
nothing.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import CompositePrimaryKey


class RoundState(models.TextChoices):
    """草拟 → 已批准 → 进行中 → 补采 → 收尾 → 已结束."""

    DRAFT = "draft"
    APPROVED = "approved"
    RUNNING = "running"
    MAKE_UP = "make_up"
    CLOSING = "closing"
    CLOSED = "closed"


class Round(models.Model):
    """One round of an operation. Scope, roster and rules are frozen when it is approved."""

    district = models.IntegerField()
    operation = models.IntegerField()
    number = models.SmallIntegerField()
    name = models.CharField(max_length=80)
    profile = models.IntegerField(help_text="Id of the protocol profile version in force for this round.")
    pool_size = models.SmallIntegerField(default=10)
    areas = models.JSONField(default=list, help_text="Area prefixes in scope.")
    groups = models.JSONField(default=list, help_text="Key groups in scope; empty: everybody.")
    state = models.CharField(max_length=10, choices=RoundState.choices, default=RoundState.DRAFT)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    approved_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    roster_size = models.IntegerField(default=0)

    class Meta:
        db_table = "testing_round"
        constraints = [models.UniqueConstraint(fields=["operation", "number"], name="round_number")]


class RoundStep(models.Model):
    """A transition of a round: when, by whom and why (silent devices at closing have their reasons in ``detail``)."""

    round = models.ForeignKey(Round, models.CASCADE, related_name="steps")
    state = models.CharField(max_length=10, choices=RoundState.choices)
    at = models.DateTimeField()
    by = models.IntegerField(null=True)
    reason = models.CharField(max_length=200, blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        db_table = "testing_round_step"


class RoundSite(models.Model):
    """A point that serves a round, with the number of its stations planned for it."""

    round = models.ForeignKey(Round, models.CASCADE, related_name="sites")
    site = models.IntegerField()
    stations = models.SmallIntegerField()

    class Meta:
        db_table = "testing_round_site"
        constraints = [models.UniqueConstraint(fields=["round", "site"], name="round_site")]


class RoundEstimate(models.Model):
    """How many people are due in an area that has no name list yet. Names replace it as they come."""

    round = models.ForeignKey(Round, models.CASCADE, related_name="estimates")
    area = models.CharField(max_length=14)
    people = models.IntegerField()

    class Meta:
        db_table = "testing_round_estimate"
        constraints = [models.UniqueConstraint(fields=["round", "area"], name="round_estimate")]


class RosterEntry(models.Model):
    """Who is due in a round, frozen at approval. Later additions and removals are facts (``RosterChange``)."""

    pk = CompositePrimaryKey("district", "round", "person")
    district = models.IntegerField()
    round = models.IntegerField()
    person = models.UUIDField()
    area = models.CharField(max_length=14)
    building = models.CharField(max_length=30, blank=True)
    household = models.UUIDField(null=True)
    group = models.CharField(max_length=24, blank=True)

    class Meta:
        db_table = "testing_roster_entry"
        indexes = [models.Index(fields=["district", "round", "area", "building", "person"], name="roster_area")]


class ChangeKind(models.IntegerChoices):
    """What a ``RosterChange`` says about a person in a round."""

    ADDED = 1
    REMOVED = 2
    EXCUSED = 3
    REFUSED = 4
    ABSENT = 5
    EXEMPT = 6
    MOVED = 7


class RosterChange(models.Model):
    """The typed row of facts about a person and a round that are not samples: added, removed, excused, refused,
    absent, exempt, moved (nobody of that name lives there any more: an attempt, until a desk removes them).
    """

    pk = CompositePrimaryKey("district", "id")
    district = models.IntegerField()
    id = models.UUIDField()
    operation = models.IntegerField()
    round = models.IntegerField()
    person = models.UUIDField()
    kind = models.SmallIntegerField(choices=ChangeKind.choices)
    area = models.CharField(max_length=14)
    reason = models.CharField(max_length=200, blank=True)
    until = models.DateTimeField(null=True)
    next_visit = models.DateTimeField(null=True, help_text="When somebody said they would come again.")
    happened_at = models.DateTimeField()

    class Meta:
        db_table = "testing_roster_change"
        indexes = [
            models.Index(fields=["district", "person"], name="change_person"),
            models.Index(fields=["district", "round", "area"], name="change_area"),
        ]


class Sample(models.Model):
    """One person swabbed into one tube (``testing.sample_taken``, ``testing.late_entry``). Partitioned by round."""

    pk = CompositePrimaryKey("district", "id", "round")
    district = models.IntegerField()
    round = models.IntegerField()
    id = models.UUIDField()
    operation = models.IntegerField()
    person = models.UUIDField()
    tube = models.CharField(max_length=40)
    site = models.IntegerField()
    station = models.SmallIntegerField()
    single = models.BooleanField(help_text="Single sampling (单采): the tube is meant for this person alone.")
    late = models.BooleanField(default=False)
    happened_at = models.DateTimeField()

    class Meta:
        db_table = "testing_sample"
        indexes = [
            models.Index(fields=["district", "tube"], name="sample_tube"),
            models.Index(fields=["district", "person"], name="sample_person"),
        ]


class LateEntry(models.Model):
    """Beside the sample of ``testing.late_entry``: why it came after the seal, and who else saw it."""

    pk = CompositePrimaryKey("district", "id")
    district = models.IntegerField()
    id = models.UUIDField()
    operation = models.IntegerField()
    reason = models.CharField(max_length=200)
    second = models.CharField(max_length=40)

    class Meta:
        db_table = "testing_late_entry"


class SampleMove(models.Model):
    """The typed row of ``testing.sample_moved``: the sample is really in another tube. The newest in force wins."""

    pk = CompositePrimaryKey("district", "id")
    district = models.IntegerField()
    id = models.UUIDField()
    operation = models.IntegerField()
    sample = models.UUIDField()
    to_tube = models.CharField(max_length=40)
    reason = models.CharField(max_length=200)
    happened_at = models.DateTimeField()

    class Meta:
        db_table = "testing_sample_move"
        indexes = [
            models.Index(fields=["district", "sample"], name="move_sample"),
            models.Index(fields=["district", "to_tube"], name="move_tube"),
        ]


class ClaimDecision(models.Model):
    """The typed row of ``testing.claim_settled``, one per claim: the tube of (round, site, station) becomes this
    one, or void.
    """

    pk = CompositePrimaryKey("district", "id", "round", "site", "station")
    district = models.IntegerField()
    id = models.UUIDField()
    operation = models.IntegerField()
    tube = models.CharField(max_length=40)
    round = models.IntegerField()
    site = models.IntegerField()
    station = models.SmallIntegerField()
    becomes = models.CharField(max_length=40, null=True)
    facts = ArrayField(models.UUIDField(), default=list, help_text="The facts that the desk decided on.")
    reason = models.CharField(max_length=200)
    happened_at = models.DateTimeField()

    class Meta:
        db_table = "testing_claim_decision"
        indexes = [
            models.Index(fields=["district", "tube"], name="decision_tube"),
            models.Index(fields=["district", "becomes"], name="decision_becomes"),
        ]


class TubeEventKind(models.IntegerChoices):
    """What happened to a tube as a whole."""

    SEALED = 1
    VOIDED = 2
    REJECTED = 3
    RUN_STARTED = 4


class TubeEvent(models.Model):
    """The typed row of facts about a tube: sealed (rack count), voided, rejected at the laboratory, put into a run."""

    pk = CompositePrimaryKey("district", "id", "tube")
    district = models.IntegerField()
    id = models.UUIDField()
    operation = models.IntegerField()
    round = models.IntegerField(null=True)
    tube = models.CharField(max_length=40)
    kind = models.SmallIntegerField(choices=TubeEventKind.choices)
    site = models.IntegerField(null=True)
    station = models.SmallIntegerField(null=True)
    count = models.SmallIntegerField(null=True, help_text="People counted in the tube when it was sealed.")
    run = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=200, blank=True, help_text="Why; of a run, the instrument.")
    happened_at = models.DateTimeField()

    class Meta:
        db_table = "testing_tube_event"
        indexes = [models.Index(fields=["district", "tube"], name="tube_event_tube")]


class Packing(models.Model):
    """The typed row of ``tubes_bagged`` and ``box_packed``: an item lies in a container (tube in bag, bag or tube in
    box).
    """

    pk = CompositePrimaryKey("district", "id", "item")
    district = models.IntegerField()
    id = models.UUIDField()
    operation = models.IntegerField()
    item = models.CharField(max_length=40)
    container = models.CharField(max_length=40)
    rack = models.SmallIntegerField(null=True, help_text="Tubes that the packer counted by hand for the whole bag.")
    happened_at = models.DateTimeField()

    class Meta:
        db_table = "testing_packing"
        indexes = [
            models.Index(fields=["district", "item"], name="packing_item"),
            models.Index(fields=["district", "container"], name="packing_container"),
        ]


class BoxEventKind(models.IntegerChoices):
    """What happened to a transfer box."""

    SEALED = 1
    HANDED_OVER = 2
    RECEIVED = 3


class BoxEvent(models.Model):
    """The typed row of facts about a box: sealed, handed over, received with the count as seen by both parties."""

    pk = CompositePrimaryKey("district", "id")
    district = models.IntegerField()
    id = models.UUIDField()
    operation = models.IntegerField()
    box = models.CharField(max_length=40)
    kind = models.SmallIntegerField(choices=BoxEventKind.choices)
    site = models.IntegerField(null=True)
    count = models.SmallIntegerField(null=True, help_text="Tubes counted.")
    given_by = models.CharField(max_length=40, blank=True)
    taken_by = models.CharField(max_length=40, blank=True)
    vehicle = models.CharField(max_length=20, blank=True)
    temperature = models.FloatField(null=True)
    seal = models.CharField(max_length=40, blank=True)
    note = models.CharField(max_length=200, blank=True)
    happened_at = models.DateTimeField()

    class Meta:
        db_table = "testing_box_event"
        indexes = [models.Index(fields=["district", "box"], name="box_event_box")]


class Outcome(models.IntegerChoices):
    """What a laboratory read (DOMAIN §2)."""

    NEGATIVE = 1
    POSITIVE = 2
    SUSPECT = 3
    INVALID = 4


class Result(models.Model):
    """The typed row of ``testing.result_read``: an outcome of a tube. In force only when reviewed by another person
    and released.
    """

    pk = CompositePrimaryKey("district", "id")
    district = models.IntegerField()
    id = models.UUIDField()
    operation = models.IntegerField()
    tube = models.CharField(max_length=40)
    lab = models.IntegerField()
    run = models.CharField(max_length=40, blank=True)
    outcome = models.SmallIntegerField(choices=Outcome.choices)
    ct = models.JSONField(null=True)
    actor = models.IntegerField(null=True)
    happened_at = models.DateTimeField()

    class Meta:
        db_table = "testing_result"
        indexes = [models.Index(fields=["district", "tube"], name="result_tube")]


class DecisionKind(models.IntegerChoices):
    """What was decided about a result."""

    APPROVED = 1
    RETURNED = 2
    RELEASED = 3
    CORRECTED = 4


class ResultDecision(models.Model):
    """The typed row of reviewed, released and corrected, one per result. Both versions of a corrected result are
    kept.
    """

    pk = CompositePrimaryKey("district", "id", "result")
    district = models.IntegerField()
    id = models.UUIDField()
    operation = models.IntegerField()
    result = models.UUIDField()
    kind = models.SmallIntegerField(choices=DecisionKind.choices)
    outcome = models.SmallIntegerField(choices=Outcome.choices, null=True)
    actor = models.IntegerField(null=True)
    reason = models.CharField(max_length=200, blank=True)
    happened_at = models.DateTimeField()

    class Meta:
        db_table = "testing_result_decision"
        indexes = [models.Index(fields=["district", "result"], name="decision_result")]


class SiteEventKind(models.IntegerChoices):
    """What happened at a station or point."""

    OPENED = 1
    CLOSED = 2
    QUEUE = 3


class SiteEvent(models.Model):
    """The typed row of station opened, station closed and queue counted."""

    pk = CompositePrimaryKey("district", "id")
    district = models.IntegerField()
    id = models.UUIDField()
    operation = models.IntegerField()
    round = models.IntegerField()
    site = models.IntegerField()
    station = models.SmallIntegerField(default=0)
    kind = models.SmallIntegerField(choices=SiteEventKind.choices)
    value = models.IntegerField(null=True)
    happened_at = models.DateTimeField()

    class Meta:
        db_table = "testing_site_event"
        indexes = [models.Index(fields=["district", "round", "site", "happened_at"], name="site_event_site")]


class TubeState(models.IntegerChoices):
    """空管→开管→封管→装箱→已交接→已接收→检测中→待审核→已报告; side exits 作废, 拒收; 争用 while two teams claim it."""

    OPENED = 1
    SEALED = 2
    PACKED = 3
    HANDED_OVER = 4
    RECEIVED = 5
    RUNNING = 6
    READ = 7
    REPORTED = 8
    VOIDED = 9
    REJECTED = 10
    CONTESTED = 11


class Tube(models.Model):
    """Derived: everything known about a barcode in an operation. No rows of facts are needed to list tubes."""

    pk = CompositePrimaryKey("district", "operation", "tube")
    district = models.IntegerField()
    operation = models.IntegerField()
    tube = models.CharField(max_length=40)
    round = models.IntegerField(null=True)
    site = models.IntegerField(null=True)
    station = models.SmallIntegerField(null=True)
    area = models.CharField(max_length=14, blank=True)
    state = models.SmallIntegerField(choices=TubeState.choices)
    claims = models.SmallIntegerField(default=0)
    contested = models.BooleanField(default=False)
    samples = models.SmallIntegerField(default=0)
    people = models.SmallIntegerField(default=0)
    single = models.BooleanField(default=False)
    late = models.SmallIntegerField(default=0)
    first_at = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True)
    hour = models.DateTimeField(null=True, help_text="Clock hour of the first sample; attributes the tube's events.")
    sealed_at = models.DateTimeField(null=True)
    sealed_count = models.SmallIntegerField(null=True)
    box = models.CharField(max_length=40, blank=True)
    packed_at = models.DateTimeField(null=True)
    handed_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField(null=True)
    lab = models.IntegerField(null=True)
    run_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)
    released_at = models.DateTimeField(null=True)
    result = models.UUIDField(null=True, help_text="The result in force.")
    outcome = models.SmallIntegerField(choices=Outcome.choices, null=True)

    class Meta:
        db_table = "testing_tube"
        indexes = [
            models.Index(fields=["district", "round", "site", "hour"], name="tube_site_hour"),
            models.Index(fields=["district", "operation", "box"], name="tube_box"),
            models.Index(fields=["district", "round", "released_at"], name="tube_released"),
        ]


class Box(models.Model):
    """Derived: a transfer box with its counts and clocks."""

    pk = CompositePrimaryKey("district", "operation", "box")
    district = models.IntegerField()
    operation = models.IntegerField()
    box = models.CharField(max_length=40)
    round = models.IntegerField(null=True)
    site = models.IntegerField(null=True)
    area = models.CharField(max_length=14, blank=True)
    tubes = models.SmallIntegerField(default=0)
    sealed_at = models.DateTimeField(null=True)
    sealed_count = models.SmallIntegerField(null=True)
    handed_at = models.DateTimeField(null=True)
    handed_count = models.SmallIntegerField(null=True)
    received_at = models.DateTimeField(null=True)
    received_count = models.SmallIntegerField(null=True)
    lab = models.IntegerField(null=True)
    seal = models.CharField(max_length=40, blank=True)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        db_table = "testing_box"
        indexes = [models.Index(fields=["district", "operation", "handed_at"], name="box_handed")]


class Coverage(models.Model):
    """Derived: one row per round and person (canonical id) whom any fact of the round speaks of.

    ``area`` is the roster's area for people on the roster, else the area of the place of sampling. ``tubes`` are the
    tubes that hold the person's valid samples: results are stored per tube and joined, never written per person.
    """

    pk = CompositePrimaryKey("district", "round", "person")
    district = models.IntegerField()
    round = models.IntegerField()
    person = models.UUIDField()
    area = models.CharField(max_length=14)
    rostered = models.BooleanField()
    removed = models.BooleanField(default=False)
    excused = models.SmallIntegerField(null=True, choices=ChangeKind.choices)
    attempt = models.SmallIntegerField(null=True, choices=ChangeKind.choices)
    samples = models.SmallIntegerField(default=0)
    hour = models.DateTimeField(null=True)
    first_at = models.DateTimeField(null=True)
    site = models.IntegerField(null=True)
    tubes = ArrayField(models.CharField(max_length=40), default=list)

    class Meta:
        db_table = "testing_coverage"
        indexes = [
            models.Index(fields=["district", "round", "area", "hour"], name="coverage_area"),
            # The few with several samples in a round, of whom somebody must be told (dabai.testing.attention).
            models.Index(fields=["district", "person"], condition=models.Q(samples__gt=1), name="coverage_twice"),
        ]


class ResultFile(models.Model):
    """One uploaded laboratory result file; the same file twice is harmless because its facts have natural ids."""

    operation = models.IntegerField()
    lab = models.IntegerField()
    file_name = models.CharField(max_length=120)
    file_digest = models.BinaryField()
    rows = models.IntegerField(default=0)
    accepted = models.IntegerField(default=0)
    errors = models.JSONField(default=list)
    mapping = models.JSONField(default=dict)
    by = models.IntegerField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "testing_result_file"


class ColumnMapping(models.Model):
    """How a source's columns were mapped the last time, so that the next file needs no questions."""

    operation = models.IntegerField()
    purpose = models.CharField(max_length=16)
    source = models.CharField(max_length=60)
    mapping = models.JSONField(default=dict)

    class Meta:
        db_table = "testing_column_mapping"
        constraints = [models.UniqueConstraint(fields=["operation", "purpose", "source"], name="column_mapping")]


class ProvinceExport(models.Model):
    """One file of results for the province's platform: new and changed since the last one, corrections included,
    logged.
    """

    operation = models.IntegerField()
    round = models.IntegerField(null=True)
    number = models.IntegerField()
    made_at = models.DateTimeField()
    upto_seq = models.BigIntegerField()
    rows = models.IntegerField()
    digest = models.BinaryField()
    by = models.IntegerField(null=True)
    reason = models.CharField(max_length=200)

    class Meta:
        db_table = "testing_province_export"
        constraints = [models.UniqueConstraint(fields=["operation", "number"], name="province_export_number")]


class ProvinceRow(models.Model):
    """What was last sent to the province for a person and round, as a digest, so that only news and corrections go
    out.
    """

    pk = CompositePrimaryKey("district", "round", "person")
    district = models.IntegerField()
    round = models.IntegerField()
    person = models.UUIDField()
    export = models.IntegerField()
    outcome = models.CharField(max_length=16)
    digest = models.BinaryField()

    class Meta:
        db_table = "testing_province_row"
